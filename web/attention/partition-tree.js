/** Half-space reporting over fixed keys of 1 to 4 dimensions, where the theory gives sublinear time (src/hsr/partition.h). */
import { checkInteger } from '../checks.js';
import { badArgument } from '../errors.js';
import { coreOf, FIRST_ROOM } from './core.js';
import { Handle } from './handle.js';
import { collectHits, stageQuery, thresholdOf } from './query.js';
import { vectorsOf } from './rows.js';

/** As in src/hsr/box.h and src/hsr/partition.h. */
const MAX_DIM = 4;
const MAX_KEYS = 2 ** 24;

/**
 * @typedef {import('./rows.js').Rows} Rows
 *
 * @typedef {object} TreeStats what a query cost
 * @property {number} nodesVisited boxes compared with the half-space
 * @property {number} keysTested products of keys in leaves that its hyperplane may cross
 * @property {number} keysReported keys of the answer
 * @property {number} timeMs milliseconds
 *
 * @typedef {import('./query.js').Hits & {stats: TreeStats}} Reported
 */

/**
 * Keys at positions 0, 1, ..., which do not change. What it answers is exact: a product is the double sum over dimensions, in
 * order, of query * key, rounded once to f32.
 */
export class PartitionTree extends Handle {
  /**
   * Use PartitionTree.create().
   * @internal
   * @param {import('./core.js').Core} core
   * @param {number} dim
   * @param {() => number} build
   */
  constructor(core, dim, build) {
    super(core, 'partition', build);
    /** Numbers per key. */
    this.dim = dim;
  }

  /**
   * A tree over keys.
   * @param {{keys: Rows, dim: number, wasm?: import('./core.js').LoadOptions}} options keys: 1 to 2^24 of them, finite and at
   *   most 1e15 in magnitude; dim: 1..4 numbers each; wasm: the instance, as of HsrIndex
   * @returns {Promise<PartitionTree>}
   * @throws {import('../errors.js').HalfspaceError} bad-argument: dim, or the keys; out-of-memory; no-simd
   */
  static async create({ keys, dim, wasm }) {
    checkInteger('dim', dim, 1, MAX_DIM);
    const vectors = vectorsOf(keys, dim, 'keys');
    const { count } = vectors;
    if (count < 1 || count > MAX_KEYS)
      throw badArgument('keys', `must be 1 to ${MAX_KEYS} vectors, not ${count}`, count, count < 1 ? 1 : MAX_KEYS);
    const core = await coreOf(wasm);
    const rows = core.wasm.alloc(4 * dim * count, 'keys');
    try {
      const part = core.part(dim);
      for (let from = 0; from < count; from += part) core.stage(rows + 4 * dim * from, vectors, from, Math.min(part, count - from));
      return new PartitionTree(core, dim, () => core.exports.hs_partition_create(rows, count, dim));
    } finally {
      core.exports.hs_free(rows);
    }
  }

  /**
   * All keys with product >= b.
   * @param {Rows} query [dim], finite
   * @param {number} b threshold, as an inner product; any finite number
   * @returns {Reported} in an order that is the same for all queries
   * @throws {import('../errors.js').HalfspaceError} bad-argument: query or b; out-of-memory: for the answer; closed
   */
  report(query, b) {
    const { size } = this;
    const least = thresholdOf(b);
    return this.#collect(query, Math.min(size, FIRST_ROOM), (q, positions, products, room) =>
      this.call('report', q, least, positions, products, room),
    );
  }

  /**
   * The number of keys with product >= b; a part of the tree that lies inside the half-space is counted without a look at its keys.
   * @param {Rows} query [dim], finite
   * @param {number} b threshold, as an inner product; any finite number
   * @returns {number}
   * @throws {import('../errors.js').HalfspaceError} bad-argument: query or b; closed
   */
  count(query, b) {
    const { core, dim, pointer } = this;
    const least = thresholdOf(b);
    return core.wasm.check(core.exports.hs_partition_report(pointer, stageQuery(core, query, dim), least, 0, 0, 0), 'query');
  }

  /**
   * The r keys of the largest products.
   * @param {Rows} query [dim]
   * @param {number} r 1..size
   * @returns {Reported} largest first, equal ones in order of positions
   * @throws {import('../errors.js').HalfspaceError} bad-argument: query or r; out-of-memory: for the answer; closed
   */
  top(query, r) {
    checkInteger('r', r, 1, this.size);
    return this.#collect(query, r, (q, positions, products) => this.call('top', q, r, positions, products));
  }

  /**
   * @param {Rows} query
   * @param {number} room
   * @param {(q: number, positions: number, products: number, room: number) => number} run
   * @returns {Reported}
   */
  #collect(query, room, run) {
    const { core } = this;
    const { timeMs, ...hits } = collectHits(core, query, this.dim, room, run);
    const words = new Float64Array(core.wasm.memory.buffer, core.exports.hs_partition_stats() >>> 0, 3);
    const [nodesVisited, keysTested, keysReported] = words;
    return { ...hits, stats: { nodesVisited, keysTested, keysReported, timeMs } };
  }
}
