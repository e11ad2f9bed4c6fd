/** What queries of the index and of partition trees have in common. */
import { shown } from '../checks.js';
import { elapsedSince } from '../elapsed.js';
import { badArgument } from '../errors.js';
import { vectorsOf } from './rows.js';

const LARGEST_FLOAT = 3.4028234663852886e38;

/**
 * @typedef {object} Hits what a query found
 * @property {Int32Array} positions of the keys
 * @property {Float32Array} products of the query and the key, rounded once to f32
 */

/** @param {string} field @param {number} x */
export function checkFinite(field, x) {
  if (!(typeof x === 'number' && Math.abs(x) <= LARGEST_FLOAT))
    throw badArgument(field, `must be a finite number of at most ${LARGEST_FLOAT} in magnitude, not ${shown(x)}`, x, LARGEST_FLOAT);
  return x;
}

/** The least f32 that is not below b: f32 products compare with it as with b. @param {number} b */
export function thresholdOf(b) {
  const float = new Float32Array([checkFinite('b', b)]);
  const bits = new Int32Array(float.buffer);
  if (float[0] < b) bits[0] += float[0] < 0 ? -1 : 1;
  return float[0];
}

/**
 * Copies one query into the core.
 * @param {import('./core.js').Core} core
 * @param {import('./rows.js').Rows} query
 * @param {number} dims
 * @returns {number} pointer
 */
export function stageQuery(core, query, dims) {
  const vectors = vectorsOf(query, dims, 'query');
  if (vectors.count !== 1)
    throw badArgument('query', `must have ${dims} numbers, not ${vectors.values.length}`, vectors.values.length, dims);
  return core.stage(core.first, vectors, 0, 1);
}

/**
 * Runs a call for one query that writes positions and products, and takes its time.
 * @param {import('./core.js').Core} core
 * @param {import('./rows.js').Rows} query
 * @param {number} dims
 * @param {number} room first guess of their number
 * @param {(q: number, positions: number, products: number, room: number) => number} run returns their number
 * @returns {Hits & {timeMs: number}}
 */
export function collectHits(core, query, dims, room, run) {
  const q = stageQuery(core, query, dims);
  const began = performance.now();
  return core.collect(
    room,
    2,
    (pointer, rooms) => run(q, pointer, pointer + 4 * rooms, rooms),
    (pointer, rooms, count) => ({
      positions: core.ints(pointer, count),
      products: core.floats(pointer + 4 * rooms, count),
      timeMs: elapsedSince(began),
    }),
  );
}
