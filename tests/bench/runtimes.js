/** Other runtimes of JavaScript than the one that runs. */
import { access } from 'node:fs/promises';
import { arch, platform } from 'node:process';

import { installedPath, notInstalled } from './installed.js';

const bunArch = arch === 'arm64' ? 'aarch64' : arch;
const denoLibrary = platform === 'linux' ? '-glibc' : '';

/** Paths in node_modules, and what comes before the script. @type {Record<string, [string, string[]]>} */
const COMMANDS = {
  node24: [`node-${platform}-${arch}/bin/node`, []],
  bun: [`@oven/bun-${platform}-${bunArch}/bin/bun`, []],
  deno: [`@deno/${platform}-${arch}${denoLibrary}/deno`, ['run', '--allow-all', '--node-modules-dir=manual']],
};

/**
 * @param {string} runtime
 * @returns {Promise<string[]>} command and its first arguments
 */
export async function runtimeCommand(runtime) {
  const [path, before] = COMMANDS[runtime];
  const command = installedPath(path);
  await access(command).catch((cause) => {
    throw notInstalled(runtime, cause);
  });
  return [command, ...before];
}
