/**
 * A build of the core for tests (tests/checked/memory.c, `make checked`): after every call into it all of its memory's guard words are
 * looked at, and a chosen allocation can be made to fail.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const module = await WebAssembly.compile(await readFile(new URL('../../../build/checked.simd.wasm', import.meta.url)));

/** @typedef {import('../../../web/core/wasm-loader.js').Exports} Exports */

/** Options of Engine.load(), and `wasm` of the attention API. A new object, so that it gets an instance of its own. */
export const checkedBuild = () => ({ variant: /** @type {const} */ ('simd'), wasm: { simd: module } });

/** Exports of tests/checked/memory.c. */
const OWN = new Set(['hs_memory_check', 'hs_memory_blocks', 'hs_memory_fail', 'hs_memory_allocations']);

/** Called with the exports of every new instance, once it has tested itself. @type {(exports: Exports) => void} */
let onInstance = () => {};

/**
 * What is damaged, in words; undefined when nothing is.
 * @param {Exports} exports as the module has them
 * @param {ArrayBufferLike} memory
 */
function damageOf(exports, memory) {
  const at = exports.hs_memory_check() >>> 0;
  if (at === 0) return undefined;
  const [number, pointer, bytes] = new Uint32Array(memory, at, 3);
  const offset = new Int32Array(memory, at + 12, 1)[0];
  return `block ${number} of ${bytes} bytes at ${pointer}: byte ${offset} was written`;
}

/** @param {Exports} exports @param {WebAssembly.Memory} memory @returns {Exports} which look at the memory after every call */
function watched(exports, memory) {
  const names = Object.keys(exports).filter((name) => typeof exports[name] === 'function');
  const call = (/** @type {string} */ name) => {
    return (/** @type {number[]} */ ...args) => {
      const result = exports[name](...args);
      assert.equal(damageOf(exports, memory.buffer), undefined, `after ${name}`);
      if (name === 'hs_self_test') onInstance(exports);
      return result;
    };
  };
  return Object.fromEntries(names.map((name) => [name, OWN.has(name) ? exports[name] : call(name)]));
}

const { instantiate } = WebAssembly;
WebAssembly.instantiate = /** @type {any} */ (
  async (/** @type {WebAssembly.Module} */ given, /** @type {any} */ imports) => {
    const instance = await instantiate(given, imports);
    if (given !== module) return instance;
    return { exports: watched(/** @type {any} */ (instance.exports), imports.env.memory) };
  }
);

/**
 * Runs something whose new instances are given to a function first.
 * @template T
 * @param {(exports: Exports) => void} look
 * @param {() => Promise<T>} run
 */
export async function withInstances(look, run) {
  const before = onInstance;
  onInstance = look;
  try {
    return await run();
  } finally {
    onInstance = before;
  }
}
