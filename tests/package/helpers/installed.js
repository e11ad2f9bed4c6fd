/** The package as `npm pack` packs it, installed into an empty folder. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const APP = fileURLToPath(new URL('../app', import.meta.url));

/**
 * @returns {Promise<{folder: string, bytes: number, run: (command: string, ...args: string[]) => Promise<string>, remove: () => Promise<void>}>}
 *   folder: with the files of app/ and node_modules; bytes: of the archive
 */
export async function installed() {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  await writeFile(join(folder, 'package.json'), '{"type": "module", "private": true}');
  const inFolder = async (/** @type {string} */ command, /** @type {string[]} */ ...args) =>
    (await run(command, args, { cwd: folder })).stdout;
  // `make` has built what `prepack` would.
  await inFolder('npm', 'pack', '--ignore-scripts', '--silent', ROOT);
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  await inFolder('npm', 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', `./${archive}`);
  await cp(APP, folder, { recursive: true });
  const { size } = await stat(join(folder, archive));
  return { folder, bytes: size, run: inFolder, remove: () => rm(folder, { recursive: true }) };
}
