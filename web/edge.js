/**
 * Halfspace for isolates, such as workerd's: the same API over builds that were compiled ahead of time, within a limit of
 * memory. There are no threads and no paths, and nothing is compiled while it runs.
 *
 *     import simd from 'halfspace/wasm/simd'; // a WebAssembly.Module
 *     import { edgeMemory, Engine, KvCache } from 'halfspace/edge';
 *     const memory = edgeMemory(simd);
 *     const engine = await Engine.load(url, memory);
 *     const cache = await KvCache.create({ headDim: 64, wasm: memory });
 */
import { badArgument } from './errors.js';

export * from './attention.js';
export * from './index.js';

/** Three quarters of the 128 MB that isolates have: JavaScript needs some, too. */
const DEFAULT_BYTES = 96 << 20;

/**
 * Options for Engine.load(), and for `wasm` of the attention API. Each engine has one WebAssembly memory, and all indexes,
 * caches and trees of the same options object share another. Beyond its limit calls throw 'out-of-memory', and leave what was
 * there as it was.
 * @param {WebAssembly.Module | {simd?: WebAssembly.Module, relaxed?: WebAssembly.Module}} wasm a module alone is the simd
 *   build; of both, relaxed is taken where it computes rightly
 * @param {{maxMemoryBytes?: number}} [options] maxMemoryBytes: limit of each memory, from 2 MB;
 *   default 96 MB
 * @returns {{wasm: {simd?: WebAssembly.Module, relaxed?: WebAssembly.Module}, maxMemoryBytes: number}}
 * @throws {import('./errors.js').HalfspaceError} bad-argument
 */
export function edgeMemory(wasm, { maxMemoryBytes = DEFAULT_BYTES } = {}) {
  const builds = wasm instanceof WebAssembly.Module ? { simd: wasm } : { ...wasm };
  const all = Object.entries(builds);
  if (all.length === 0 || !all.every(([name, build]) => ['simd', 'relaxed'].includes(name) && build instanceof WebAssembly.Module))
    throw badArgument('wasm', 'must be a WebAssembly.Module, or modules as {simd, relaxed}', wasm, 'WebAssembly.Module');
  return { wasm: builds, maxMemoryBytes };
}
