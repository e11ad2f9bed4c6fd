/** What the core says of a cache for its snapshot: how far it goes, and how long its records are. */
import { KV_TYPES } from '../core/kv.js';

/**
 * hs_kv_extent().
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {number} kv pointer to the cache
 */
export function extentOf(wasm, kv) {
  const [base, count, , sealed, maxChunk] = new Int32Array(wasm.memory.buffer, wasm.exports.hs_kv_extent(kv) >>> 0, 5);
  return { base, count, sealed, maxChunk };
}

/**
 * Bytes of a chunk record's payload.
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {Pick<import('./format.js').Header, 'kind' | 'shape' | 'kv'>} header
 * @param {{sealed: boolean, keys: number}} span
 */
export const bytesOf = (wasm, { kind, shape, kv }, { sealed, keys }) =>
  wasm.exports.hs_record_bytes(shape.headDim, KV_TYPES[kv], kind === 'index' ? 1 : 0, sealed ? 1 : 0, keys) >>> 0;
