/** Ways to answer a query that are measured: attention of one KV head in several forms, and the index alone. */
import { attend } from '../../attention.js';
import { mean } from '../numbers.js';
import { relativeError } from './timing.js';

const R = 64;
/** Certified attention looks at every key. */
const CERTIFIED_MOST = 2 ** 15;

/**
 * @typedef {import('../../attention.js').KvCache} KvCache
 * @typedef {import('../../attention.js').HsrIndex} HsrIndex
 * @typedef {import('../../attention/attend.js').AttendOptions} AttendOptions
 *
 * @typedef {object} Look what one step gives
 * @property {ArrayLike<number>} output [heads][headDim]
 * @property {number} exactFraction keys of exact weight, of all
 * @property {number} screenedFraction keys whose 4-bit product was computed, of all
 * @property {number} denseFraction query heads that were computed densely because that was cheaper, of all
 * @property {number} work products with keys and leaves, of any precision, per key
 *
 * @typedef {object} Way a step is all query heads of one KV head
 * @property {(step: number) => unknown} run what is timed
 * @property {(step: number) => Look} look
 */

/** Falls back to dense neither for short contexts nor where that is cheaper. */
export const FORCED = { denseBelow: 0, denseAbove: 1 };

/**
 * @param {KvCache} cache
 * @param {Float32Array[]} queries
 * @param {AttendOptions} options
 * @returns {Way}
 */
export const attendWay = (cache, queries, options) => ({
  run: (step) => attend(cache, queries[step], options),
  look(step) {
    const { output, stats } = attend(cache, queries[step], options);
    const { keysVisible, keysScreened, keysRefined, keysExact, leavesTotal } = stats;
    return {
      output,
      exactFraction: stats.exactFraction,
      screenedFraction: keysScreened / keysVisible,
      denseFraction: stats.dense / stats.queries,
      work: (leavesTotal + keysScreened + keysRefined + keysExact) / keysVisible,
    };
  },
});

/**
 * @param {KvCache} cache
 * @param {Float32Array[]} queries
 * @param {AttendOptions} [always] for all ways, such as FORCED
 * @returns {Record<string, Way>}
 */
export function attendWays(cache, queries, always = {}) {
  const way = (/** @type {AttendOptions} */ options) => attendWay(cache, queries, { ...always, ...options });
  return {
    dense: way({ mode: 'dense' }),
    fast: way({}),
    'fast r=64': way({ r: R }),
    'fast r=n^0.8': way({ r: Math.ceil(cache.length ** 0.8) }),
    ...(cache.length <= CERTIFIED_MOST && { 'certified 0.1': way({ strength: 'certified', eps: 0.1 }) }),
  };
}

/**
 * The same step by the index alone: the R keys of the largest products of each query head, and the report of all keys from
 * the last of these products on. Their output is attention to these keys.
 * @param {KvCache} cache
 * @param {HsrIndex} index
 * @param {Float32Array[]} queries
 * @returns {Record<string, Way>}
 */
export function indexWays(cache, index, queries) {
  const { headDim } = cache;
  const heads = queries.map((q) => Array.from({ length: q.length / headDim }, (_, h) => q.subarray(h * headDim, (h + 1) * headDim)));
  const thresholds = heads.map((step) => step.map((q) => index.top(q, R).products[R - 1]));
  const way = (/** @type {(q: Float32Array, step: number, head: number) => import('../../attention/hsr-index.js').Reported} */ find) => {
    const run = (/** @type {number} */ step) => heads[step].map((q, h) => find(q, step, h));
    return {
      run,
      look(/** @type {number} */ step) {
        const found = run(step);
        const { size } = index;
        return {
          output: found.flatMap((keys) => Array.from(attentionTo(cache, keys))),
          exactFraction: mean(found.map(({ positions }) => positions.length / size)),
          screenedFraction: mean(found.map(({ stats }) => stats.keysScreened / size)),
          denseFraction: 0,
          work: mean(found.map(({ stats }) => (stats.leavesBounded + stats.keysScreened + stats.keysRefined + stats.keysExact) / size)),
        };
      },
    };
  };
  return {
    'top 64': way((q) => index.top(q, R)),
    report: way((q, step, h) => index.report(q, thresholds[step][h])),
  };
}

/**
 * Softmax attention of a query to some keys, the others dropped.
 * @param {KvCache} cache
 * @param {import('../../attention/hsr-index.js').Reported} keys
 */
function attentionTo(cache, { positions, products }) {
  const scale = 1 / Math.sqrt(cache.headDim);
  const most = products.reduce((a, b) => Math.max(a, b), -Infinity);
  const output = new Float64Array(cache.headDim);
  let total = 0;
  positions.forEach((position, i) => {
    const weight = Math.exp(scale * (products[i] - most));
    total += weight;
    cache.value(position).forEach((x, d) => (output[d] += weight * x));
  });
  return output.map((x) => x / total);
}

/**
 * @param {Record<string, Way>} ways dense first
 * @param {number} steps
 * @param {number} headDim
 * @returns {Record<string, Omit<Look, 'output'> & {error: number}>} error: relative, against dense; means over steps
 */
export function lookAll(ways, steps, headDim) {
  const range = Array.from({ length: steps }, (_, step) => step);
  const reference = range.map((step) => ways.dense.look(step).output);
  return Object.fromEntries(
    Object.entries(ways).map(([name, { look }]) => {
      const looks = range.map(look);
      return [
        name,
        {
          error: mean(looks.map(({ output }, step) => relativeError(output, reference[step], headDim))),
          exactFraction: mean(looks.map((x) => x.exactFraction)),
          screenedFraction: mean(looks.map((x) => x.screenedFraction)),
          denseFraction: mean(looks.map((x) => x.denseFraction)),
          work: mean(looks.map((x) => x.work)),
        },
      ];
    }),
  );
}
