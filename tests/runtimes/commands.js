/** Programs of runtimes of JavaScript; `make tools-runtimes` installs them. */
import { access } from 'node:fs/promises';
import { arch, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

import { HalfspaceError } from '../../web/errors.js';

const bunArch = arch === 'arm64' ? 'aarch64' : arch;
const denoLibrary = platform === 'linux' ? '-glibc' : '';
const workerdArch = arch === 'x64' ? '64' : arch;

/** Paths in node_modules, and what comes before the script. @type {Record<string, [string, string[]]>} */
const COMMANDS = {
  node20: [`node20-${platform}-${arch}/bin/node`, []],
  node24: [`node-${platform}-${arch}/bin/node`, []],
  bun: [`@oven/bun-${platform}-${bunArch}/bin/bun`, []],
  deno: [`@deno/${platform}-${arch}${denoLibrary}/deno`, ['run', '--allow-all', '--node-modules-dir=manual']],
  workerd: [`@cloudflare/workerd-${platform}-${workerdArch}/bin/workerd`, []],
};

/**
 * @param {string} runtime
 * @returns {Promise<string[]>} command and its first arguments
 * @throws {HalfspaceError} unsupported: it is not installed
 */
export async function runtimeCommand(runtime) {
  const [path, before] = COMMANDS[runtime];
  const command = fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));
  await access(command).catch((cause) => {
    throw new HalfspaceError('unsupported', `${runtime} is not installed: run "make tools-runtimes"`, {
      field: 'runtime',
      value: runtime,
      cause,
    });
  });
  return [command, ...before];
}
