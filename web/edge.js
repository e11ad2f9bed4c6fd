/** Halfspace in isolates: modules are compiled ahead and given by the option `wasm`. No threads, no paths. */
export * from './attention.js';
export * from './index.js';
