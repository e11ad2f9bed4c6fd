/**
 * The public API as one suite, the same in every runtime: no module of any of them is imported here. Where a number is
 * expected of the simd build every bit of it is, as WebAssembly SIMD128 computes the same everywhere.
 */
import { attention } from './attention.js';
import { NotAllowed } from './check.js';
import { engine } from './engine.js';
import { index } from './index-and-tree.js';
import { limits } from './limits.js';
import { platform } from './platform.js';
import { snapshots } from './snapshots.js';
import { stores } from './stores.js';
import { streams } from './streams.js';

/**
 * @typedef {object} Setting what a runner gives
 * @property {any} halfspace everything the package exports here
 * @property {object} build options that choose the simd build: of Engine.load(), and `wasm` of the attention API
 * @property {object} relaxed the same, of the relaxed build
 * @property {Uint8Array} model a small model (tests/runtimes/model.js)
 * @property {string} url of the same
 * @property {string} [path] of the same, where there are paths
 * @property {string} [folder] for files, where there are any
 * @property {string[]} allowed names of cases of platform.js that this runtime allows; the others have to fail as documented
 *
 * @typedef {object} Case
 * @property {string} name
 * @property {(setting: Setting) => Promise<void>} run
 *
 * @typedef {object} Result
 * @property {string} area
 * @property {string} name
 * @property {boolean} ok
 * @property {string} [notAllowed] why
 * @property {string} [error]
 */

/** What every runtime does alike, by area. @type {Record<string, Case[]>} */
export const COMMON = { ...engine, ...index, ...attention, ...streams, ...snapshots, ...stores, ...limits };

/** @param {Setting} setting @param {Record<string, Case[]>} [areas] @returns {Promise<Result[]>} */
export async function runSuites(setting, areas = { ...COMMON, ...platform }) {
  const results = [];
  for (const [area, cases] of Object.entries(areas)) {
    for (const { name, run } of cases) {
      /** @type {Result} */
      const result = { area, name, ok: false };
      try {
        await run(setting);
        result.ok = true;
      } catch (error) {
        const { message, stack } = /** @type {Error} */ (error);
        if (error instanceof NotAllowed) Object.assign(result, { ok: true, notAllowed: message });
        else result.error = stack?.includes(message) ? stack : `${message}\n${stack}`;
      }
      results.push(result);
    }
  }
  return results;
}
