/** Keys and values of one layer's KV heads, for attend(). */
import { checkInteger } from '../checks.js';
import { badArgument } from '../errors.js';
import { attendStreamOf } from './attend-stream.js';
import { coreOf } from './core.js';
import { checkShape } from './handle.js';
import { vectorsOf } from './rows.js';
import { StreamedHandle } from './streamed.js';

const MAX_HEADS = 256;

/** @typedef {import('./rows.js').Rows} Rows */

/** Keys and values in the order they came, at positions 0, 1, ... of every KV head. It grows as they come. */
export class KvCache extends StreamedHandle {
  /**
   * Use KvCache.create().
   * @internal
   * @param {import('./core.js').Core} core
   * @param {import('./handle.js').Shape & {kvHeads?: number}} shape
   */
  constructor(core, shape) {
    const { headDim, type, maxChunk, typeCode } = checkShape(shape);
    const kvHeads = checkInteger('kvHeads', shape.kvHeads ?? 1, 1, MAX_HEADS);
    super(core, 'cache', { kind: 'cache', headDim, kvHeads, type, maxChunk }, () =>
      core.exports.hs_cache_create(kvHeads, headDim, typeCode, maxChunk),
    );
    /** Numbers per key. */
    this.headDim = headDim;
    /** KV heads, each with a key and a value at every position. */
    this.kvHeads = kvHeads;
    /** How keys and values are stored: 'q8' or 'f32'. */
    this.type = type;
    /** Bytes that a position takes in a long cache, key and value of every KV head and the index together. */
    this.bytesPerKey = kvHeads * core.exports.hs_bytes_per_key(headDim, typeCode, maxChunk, 0);
  }

  /**
   * An empty cache.
   * @param {import('./handle.js').Shape & {kvHeads?: number}} options kvHeads: 1 (default) to 256
   * @returns {Promise<KvCache>}
   * @throws {import('../errors.js').HalfspaceError} bad-argument: an option; out-of-memory; no-simd
   */
  static async create(options) {
    checkShape(options);
    return new KvCache(await coreOf(options.wasm), options);
  }

  /**
   * Appends one or many positions, all or none.
   * @param {{keys: Rows, values: Rows}} rows keys and values, each [n][kvHeads][headDim], finite and at most 1e15 in magnitude
   * @returns {number} the first one's position
   * @throws {import('../errors.js').HalfspaceError} bad-argument: a number is not finite, or keys and values differ in length;
   *   context-full: beyond 2^24 positions; out-of-memory; closed
   */
  append({ keys, values }) {
    const { core, pointer, length, headDim, kvHeads } = this;
    const k = vectorsOf(keys, headDim, 'keys', kvHeads);
    const v = vectorsOf(values, headDim, 'values', kvHeads);
    if (k.count !== v.count)
      throw badArgument(
        'values',
        `must have as many numbers as keys, ${k.values.length}, not ${v.values.length}`,
        v.values.length,
        k.values.length,
      );
    this.appendParts(k.count / kvHeads, kvHeads * headDim, (from, n) => {
      const staged = [core.stage(core.first, k, from * kvHeads, n * kvHeads), core.stage(core.second, v, from * kvHeads, n * kvHeads)];
      core.wasm.check(core.exports.hs_cache_append(pointer, staged[0], staged[1], n), 'keys');
    });
    return length;
  }

  /**
   * The key as stored.
   * @param {number} position 0..length-1
   * @param {number} [kvHead] 0 (default) to kvHeads-1
   * @returns {Float32Array} [headDim]
   * @throws {import('../errors.js').HalfspaceError} bad-argument: out of range, or dropped with what was removed; closed
   */
  key(position, kvHead = 0) {
    return this.#row(0, position, kvHead);
  }

  /**
   * The value as stored.
   * @param {number} position 0..length-1
   * @param {number} [kvHead] 0 (default) to kvHeads-1
   * @returns {Float32Array} [headDim]
   * @throws {import('../errors.js').HalfspaceError} bad-argument: out of range, or dropped with what was removed; closed
   */
  value(position, kvHead = 0) {
    return this.#row(1, position, kvHead);
  }

  /**
   * attend() for a stream of queries, on what the cache holds when each of them comes.
   * @param {import('./attend.js').AttendOptions & {signal?: AbortSignal}} [options] of attend(); signal: ends the stream with 'aborted'
   * @returns {TransformStream<Rows, import('./attend.js').Attended>}
   * @throws {import('../errors.js').HalfspaceError} aborted; what attend() throws is the stream's error
   */
  attendStream(options = {}) {
    return attendStreamOf(this, options);
  }

  /** @param {0 | 1} which @param {number} position @param {number} kvHead */
  #row(which, position, kvHead) {
    const { core, pointer, length } = this;
    checkInteger('position', position, 0, length - 1);
    checkInteger('kvHead', kvHead, 0, this.kvHeads - 1);
    core.wasm.check(core.exports.hs_cache_row(pointer, kvHead, position, which, core.first), 'position');
    return core.floats(core.first, this.headDim);
  }
}
