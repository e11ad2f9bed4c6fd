/** Instances of the core that are shared by what has no model: indexes, caches and trees, and readers of snapshots. */
import { loadWasm } from './wasm-loader.js';

/** @typedef {import('./wasm-loader.js').Wasm} Wasm */

const NO_OPTIONS = {};
/** @type {WeakMap<object, Promise<Wasm>>} */
const instances = new WeakMap();

/**
 * The instance of these options: one for the whole page or process when there are none, one for each options object otherwise.
 * @param {import('./wasm-loader.js').LoadOptions} [options]
 * @returns {Promise<Wasm>}
 */
export function sharedWasm(options = NO_OPTIONS) {
  const known = instances.get(options);
  if (known) return known;
  const wasm = loadWasm(options);
  instances.set(options, wasm);
  wasm.catch(() => instances.delete(options));
  return wasm;
}
