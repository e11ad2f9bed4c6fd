/** Kernels in a page: what kernels.js calls. */
import { WasmKernels } from './wasm-kernels.js';

/** @type {WasmKernels} */
let kernels;

/** @type {any} */ (globalThis).bench = {
  /** @param {'auto' | 'relaxed' | 'simd'} variant */
  async load(variant) {
    kernels = await WasmKernels.load(variant, new URL('/build/', location.origin).href);
    return { variant: kernels.variant, names: kernels.names() };
  },
  prepare: (/** @type {number} */ index) => kernels.prepare(index),
  work: () => kernels.work(),
  run: (/** @type {'kernel' | 'loop'} */ what, /** @type {number} */ passes) => kernels.run(what, passes),
  error: () => kernels.error(),
};
