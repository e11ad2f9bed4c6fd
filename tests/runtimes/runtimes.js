/** The runtimes that the suite of the public API runs in, and what each of them allows. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { launch } from '../bench/browser.js';
import { runtimeCommand } from './commands.js';
import { withWorker } from './workerd.js';

/**
 * @typedef {Awaited<ReturnType<typeof import('./served.js').serve>>} Served
 * @typedef {import('../suites/index.js').Result} Result
 * @typedef {object} Runtime
 * @property {string} name
 * @property {string[]} allowed areas of tests/suites/platform.js
 * @property {(served: Served, allowed: string[]) => Promise<Result[]>} run
 */

const local = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @param {string} name @returns {Runtime['run']} */
const inProcess = (name) => async (served, allowed) => {
  const [program, ...before] = await runtimeCommand(name);
  const { stdout } = await promisify(execFile)(program, [...before, local('process.js'), JSON.stringify({ ...served, allowed })], {
    maxBuffer: 1 << 24,
  });
  return JSON.parse(stdout);
};

/** @param {'chromium' | 'firefox'} name @returns {Runtime['run']} */
const inPage = (name) => async (served, allowed) => {
  const { browser, page } = await launch(name);
  try {
    await page.goto(served.origin);
    return await page.evaluate(async (/** @type {{url: string, allowed: string[]}} */ setting) => {
      await import(/** @type {any} */ ('/tests/runtimes/page.js'));
      return /** @type {any} */ (globalThis).runInPage(setting);
    }, { url: served.url, allowed }); // prettier-ignore
  } finally {
    await browser.close();
  }
};

/** @type {Runtime['run']} */
const inIsolate = ({ url }, allowed) =>
  withWorker(local('isolate.js'), async (worker) => {
    const response = await fetch(worker, { method: 'POST', body: JSON.stringify({ url, allowed }) });
    if (!response.ok) throw new Error(`workerd: ${response.status} ${await response.text()}`);
    return /** @type {Promise<Result[]>} */ (response.json());
  });

const [PATH, RELAXED, THREADS] = ['Model from a path', 'Relaxed SIMD', 'Threads'];
const [FILES, OPFS] = ['Store in files', 'Store in OPFS'];

/** @type {Runtime[]} */
export const RUNTIMES = [
  { name: 'Node 20', allowed: [PATH, THREADS, FILES], run: inProcess('node20') },
  { name: 'Node 24', allowed: [PATH, RELAXED, THREADS, FILES], run: inProcess('node24') },
  { name: 'Deno', allowed: [PATH, RELAXED, THREADS, FILES], run: inProcess('deno') },
  { name: 'Bun', allowed: [PATH, RELAXED, THREADS, FILES], run: inProcess('bun') },
  { name: 'Chromium', allowed: [RELAXED, THREADS, OPFS], run: inPage('chromium') },
  { name: 'Firefox', allowed: [RELAXED, THREADS, OPFS], run: inPage('firefox') },
  { name: 'workerd', allowed: [RELAXED], run: inIsolate },
];
