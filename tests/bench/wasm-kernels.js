/** The kernels' driver in WebAssembly, in any runtime. */
import { loadWasm } from '../../web/core/wasm-loader.js';

/** @typedef {import('../../web/core/wasm-loader.js').Variant} Variant */

export class WasmKernels {
  /** @param {import('../../web/core/wasm-loader.js').Wasm} wasm */
  constructor(wasm) {
    this.wasm = wasm;
    this.variant = wasm.variant;
  }

  /**
   * @param {'auto' | Variant | undefined} variant
   * @param {string} [folder] URL of the builds
   */
  static async load(variant, folder = new URL('../../build/', import.meta.url).href) {
    const url = (/** @type {Variant} */ name) => new URL(`kernels.${name}.wasm`, folder);
    return new WasmKernels(await loadWasm({ variant, wasm: { relaxed: url('relaxed'), simd: url('simd') } }));
  }

  /** @returns {string[]} */
  names() {
    const names = [];
    const bytes = this.wasm.bytes(0, this.wasm.memory.buffer.byteLength);
    for (let start; (start = this.wasm.exports.hs_bench_name(names.length) >>> 0) !== 0;)
      names.push(new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start))));
    return names;
  }

  /** @param {number} index */
  prepare(index) {
    this.wasm.exports.hs_bench_prepare(index);
  }

  /** Of one pass of what was prepared. */
  work() {
    return { operations: this.wasm.exports.hs_bench_operations(), bytes: this.wasm.exports.hs_bench_bytes() };
  }

  /** @param {'kernel' | 'loop'} what @param {number} passes @returns {number} milliseconds */
  run(what, passes) {
    const began = performance.now();
    this.wasm.exports.hs_bench_run(what === 'loop' ? 1 : 0, passes);
    return performance.now() - began;
  }

  error() {
    return this.wasm.exports.hs_bench_error();
  }
}
