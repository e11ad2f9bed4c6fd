/** Half-space reporting over keys: which have an inner product of at least b with a query (src/hsr/index.h). */
import { checkInteger, checkName } from '../checks.js';
import { badArgument } from '../errors.js';
import { calibrate } from './calibrate.js';
import { coreOf, FIRST_ROOM, STRATEGIES } from './core.js';
import { checkShape } from './handle.js';
import { checkFinite, collectHits, stageQuery, thresholdOf } from './query.js';
import { vectorsOf } from './rows.js';
import { StreamedHandle } from './streamed.js';

/**
 * @typedef {import('./rows.js').Rows} Rows
 * @typedef {keyof typeof STRATEGIES} Strategy auto: what costs least, per chunk of keys. Results never depend on it.
 *
 * @typedef {object} IndexStats what a query cost, in keys
 * @property {number} leavesBounded leaves, and runs of them, whose bound was computed
 * @property {number} keysScreened 4-bit products
 * @property {number} keysRefined 8-bit products, or f32 ones
 * @property {number} keysExact products in double
 * @property {number} keysReported keys of the answer
 * @property {number} timeMs milliseconds
 *
 * @typedef {import('./query.js').Hits & {stats: IndexStats}} Reported products are those of the stored keys
 */

/**
 * Keys in the order they came, at positions 0, 1, ... What it answers is exact for the keys as stored: a product is the double
 * sum over dimensions, in order, of query * key(position), rounded once to f32.
 */
export class HsrIndex extends StreamedHandle {
  #guess = -Infinity;

  /**
   * Use HsrIndex.create().
   * @internal
   * @param {import('./core.js').Core} core
   * @param {import('./handle.js').Shape} shape
   */
  constructor(core, shape) {
    const { headDim, type, maxChunk, typeCode } = checkShape(shape);
    super(core, 'index', { kind: 'index', headDim, kvHeads: 1, type, maxChunk }, () =>
      core.exports.hs_index_create(headDim, typeCode, maxChunk),
    );
    /** Numbers per key. */
    this.headDim = headDim;
    /** How keys are stored: 'q8' or 'f32'. */
    this.type = type;
    /** Bytes that a key takes in a long index; queries take 8 more per key. */
    this.bytesPerKey = core.exports.hs_bytes_per_key(headDim, typeCode, maxChunk, 1);
  }

  /**
   * An index, empty or over some keys.
   * @param {import('./handle.js').Shape & {keys?: Rows}} options keys: first ones to append, [n][headDim]
   * @returns {Promise<HsrIndex>}
   * @throws {import('../errors.js').HalfspaceError} bad-argument: an option, or a key that is not finite; context-full: more than
   *   2^24 keys; out-of-memory; no-simd
   */
  static async create(options) {
    checkShape(options);
    const index = new HsrIndex(await coreOf(options.wasm), options);
    try {
      if (options.keys) index.append(options.keys);
      return index;
    } catch (error) {
      index.free();
      throw error;
    }
  }

  /**
   * Measures what the steps of a query cost on this machine, which takes some tens of milliseconds, and has strategy auto go
   * by it from then on, in every index of the instance. Before, it goes by measurements of a server.
   * @param {import('./core.js').LoadOptions} [wasm] the instance, as in create()
   * @returns {Promise<import('./calibrate.js').Costs>}
   * @throws {import('../errors.js').HalfspaceError} out-of-memory; no-simd; unsupported: the clock stands still here
   */
  static async calibrate(wasm) {
    const core = await coreOf(wasm);
    return calibrate(core, (shape) => new HsrIndex(core, shape));
  }

  /**
   * Appends one or many keys, all or none.
   * @param {Rows} keys [n][headDim], finite and at most 1e15 in magnitude
   * @returns {number} the position of the first one
   * @throws {import('../errors.js').HalfspaceError} bad-argument: a key is not finite; context-full: beyond 2^24 keys; out-of-memory; closed
   */
  append(keys) {
    const { core, pointer, length, headDim } = this;
    const vectors = vectorsOf(keys, headDim, 'keys');
    this.appendParts(vectors.count, headDim, (from, count) => {
      core.wasm.check(core.exports.hs_index_append(pointer, core.stage(core.first, vectors, from, count), count), 'keys');
    });
    return length;
  }

  /**
   * All keys with product >= b.
   * @param {Rows} query [headDim], finite
   * @param {number} b threshold, as an inner product; any finite number
   * @param {{strategy?: Strategy}} [options] strategy: how to look, default auto
   * @returns {Reported} in order of positions
   * @throws {import('../errors.js').HalfspaceError} bad-argument: query, b or strategy; out-of-memory: for the answer; closed
   */
  report(query, b, { strategy = 'auto' } = {}) {
    const { pointer, size } = this;
    const [how, least] = [checkName('strategy', strategy, STRATEGIES), thresholdOf(b)];
    return this.#collect(query, Math.min(size, FIRST_ROOM), (q, positions, products, room) =>
      this.core.exports.hs_index_report(pointer, q, least, how, positions, products, room),
    );
  }

  /**
   * The number of keys with product >= b.
   * @param {Rows} query [headDim], finite
   * @param {number} b threshold, as an inner product; any finite number
   * @param {{strategy?: Strategy}} [options] strategy: how to look, default auto
   * @returns {number}
   * @throws {import('../errors.js').HalfspaceError} bad-argument: query, b or strategy; closed
   */
  count(query, b, { strategy = 'auto' } = {}) {
    const { core, pointer } = this;
    const [how, least] = [checkName('strategy', strategy, STRATEGIES), thresholdOf(b)];
    return core.wasm.check(core.exports.hs_index_report(pointer, stageQuery(core, query, this.headDim), least, how, 0, 0, 0), 'query');
  }

  /**
   * The r keys of the largest products.
   * @param {Rows} query [headDim]
   * @param {number} r 1..size
   * @param {{strategy?: Strategy, guess?: number, temporal?: boolean}} [options] guess: about what the r-th product is, which
   *   saves time when it is near; temporal: guess the r-th product of the last top(); strategy: how to look, default auto
   * @returns {Reported} largest first, equal ones in order of positions
   * @throws {import('../errors.js').HalfspaceError} bad-argument: query, r, guess or strategy; out-of-memory: for the answer; closed
   */
  top(query, r, { strategy = 'auto', guess, temporal = false } = {}) {
    const { pointer, size } = this;
    const how = checkName('strategy', strategy, STRATEGIES);
    checkInteger('r', r, 1, size);
    const start = guess === undefined ? (temporal ? this.#guess : -Infinity) : checkFinite('guess', guess);
    const found = this.#collect(query, r, (q, positions, products) =>
      this.core.exports.hs_index_top(pointer, q, r, start, how, positions, products),
    );
    this.#guess = found.products[r - 1];
    return found;
  }

  /**
   * The key as stored.
   * @param {number} position 0..length-1
   * @returns {Float32Array} [headDim]
   * @throws {import('../errors.js').HalfspaceError} bad-argument: out of range, or the key was removed; closed
   */
  key(position) {
    const key = this.#key(checkInteger('position', position, 0, this.length - 1));
    if (!key) throw badArgument('position', `${position} holds no key: it was removed`, position, this.length - 1);
    return key;
  }

  /**
   * No less than the distance of the key that was appended from the one stored; 0 for f32. For any query the product of the
   * appended key is within this times the query's length of the one reported, up to rounding.
   * @param {number} position 0..length-1
   * @returns {number} a length, in units of keys
   * @throws {import('../errors.js').HalfspaceError} bad-argument: out of range, or the key was removed; closed
   */
  keyDistance(position) {
    checkInteger('position', position, 0, this.length - 1);
    const distance = this.core.exports.hs_index_key_distance(this.pointer, position);
    if (distance < 0) throw badArgument('position', `${position} holds no key: it was removed`, position, this.length - 1);
    return distance;
  }

  /** The keys held, in order of positions, as they are when the iteration comes to them. @throws {import('../errors.js').HalfspaceError} closed */
  *[Symbol.iterator]() {
    for (let position = 0; position < this.length; position++) {
      const key = this.#key(position);
      if (key) yield { position, key };
    }
  }

  /** @param {number} position */
  #key(position) {
    const { first } = this.core;
    return this.core.exports.hs_index_key(this.pointer, position, first) === 0 ? this.core.floats(first, this.headDim) : undefined;
  }

  /**
   * @param {Rows} query
   * @param {number} room
   * @param {(q: number, positions: number, products: number, room: number) => number} run
   * @returns {Reported}
   */
  #collect(query, room, run) {
    const { timeMs, ...hits } = collectHits(this.core, query, this.headDim, room, run);
    return { ...hits, stats: this.#stats(timeMs) };
  }

  /** @param {number} timeMs @returns {IndexStats} */
  #stats(timeMs) {
    const words = new Float64Array(this.core.wasm.memory.buffer, this.core.exports.hs_index_stats() >>> 0, 5);
    const [leavesBounded, keysScreened, keysRefined, keysExact, keysReported] = words;
    return { leavesBounded, keysScreened, keysRefined, keysExact, keysReported, timeMs };
  }
}
