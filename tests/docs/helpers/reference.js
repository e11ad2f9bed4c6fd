/** Makes the reference as `make reference` does, but for its pages. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HERE = fileURLToPath(new URL('..', import.meta.url));

/**
 * What TypeDoc understood of the package's entry points. Its warnings, such as of a link that leads nowhere, are errors here.
 * @returns {Promise<any>}
 */
export async function jsProject() {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-reference-'));
  const file = join(folder, 'js.json');
  try {
    await run(join(HERE, 'node_modules/.bin/typedoc'), [
      '--options',
      join(HERE, 'reference/typedoc.json'),
      '--treatWarningsAsErrors',
      '--json',
      file,
    ]);
    return JSON.parse(await readFile(file, 'utf8'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Doxygen's XML of headers.
 * @template T
 * @param {string} input folders or files
 * @param {(folder: string) => Promise<T>} read
 * @returns {Promise<T>}
 */
export async function withDoxygen(input, read) {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-reference-'));
  const settings = { INPUT: input, OUTPUT_DIRECTORY: folder, GENERATE_HTML: 'NO', GENERATE_XML: 'YES', WARN_AS_ERROR: 'FAIL_ON_WARNINGS' };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  try {
    const started = run('doxygen', ['-'], { cwd: ROOT });
    started.child.stdin?.end(`${await readFile(join(HERE, 'reference/Doxyfile'), 'utf8')}${lines.join('')}`);
    await started;
    return await read(join(folder, 'c-xml'));
  } finally {
    await rm(folder, { recursive: true });
  }
}
