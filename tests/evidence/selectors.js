/**
 * Ways of choosing the keys that a query head attends to, at a budget of keys: what others do instead of half-space reporting,
 * each as simply as it can be said. With a budget of all keys all but sampleOfSoftmax() and graphKeys() choose all, with weights of one.
 */
import { PAGE } from './notes.js';

/**
 * @typedef {import('./chosen.js').Selection} Selection
 *
 * @typedef {object} Head what there is to choose from
 * @property {Float32Array} logits [n] in order of positions
 * @property {Float32Array} query [headDim]
 * @property {number} scale logit = scale * <query, key>
 * @property {import('./notes.js').KeyNotes} notes
 * @property {() => number} random
 * @property {Graph} [graph] for graphKeys()
 *
 * @typedef {{size: number, search: (query: Float32Array, r: number) => number[]}} Graph over the first `size` keys: about the r ones
 *   of the largest products, best first
 *
 * @typedef {(head: Head, budget: number) => Selection} Selector
 */

/** First and newest positions that are always taken where sampling or a graph finds the others. */
export const SINKS = 16;
export const RECENT = 32;
/** Bits of a hash, of MagicPIG. */
const BITS = 10;

/** @param {number} from @param {number} to */
const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/** The `count` indices of the largest values, in order of indices; of equal ones the first. @param {ArrayLike<number>} values @param {number} count */
function largest(values, count) {
  if (count <= 0) return [];
  if (count >= values.length) return range(0, values.length);
  const least = Float64Array.from(values).sort()[values.length - count];
  let ties = count;
  for (let i = 0; i < values.length; i++) if (values[i] > least) ties--;
  const found = [];
  for (let i = 0; i < values.length; i++) if (values[i] > least || (values[i] === least && ties-- > 0)) found.push(i);
  return found;
}

/** The sink and the newest keys. @type {Selector} */
export function slidingWindow({ logits: { length: n } }, budget) {
  const sinks = Math.min(SINKS, budget, n);
  return { positions: [...range(0, sinks), ...range(Math.max(sinks, n - (budget - sinks)), n)] };
}

/** Those of the largest logits: an oracle, as it reads all keys to find them. @type {Selector} */
export const topKeys = ({ logits }, budget) => ({ positions: largest(logits, budget) });

/**
 * Pages of 16 keys in a row that have the largest upper bounds of <query, key> by the minimum and maximum of their keys in each
 * dimension, and the page that is being filled (Quest, arXiv 2406.10774).
 * @type {Selector}
 */
export function pages({ logits: { length: n }, query, notes: { low, high } }, budget) {
  const filled = low.length * PAGE;
  const bounds = low.map((least, page) => query.reduce((sum, x, d) => sum + Math.max(x * least[d], x * high[page][d]), 0));
  const best = largest(bounds, Math.floor((budget - (n - filled)) / PAGE));
  return { positions: [...best.flatMap((page) => range(page * PAGE, (page + 1) * PAGE)), ...range(filled, n)] };
}

/**
 * The sink, the newest keys, and of the others a sample in which each is with its own probability, weighing its inverse: sums of
 * weights and of weighted values are unbiased.
 * @param {number} n
 * @param {number} budget
 * @param {(others: number[], budget: number) => {index: number, probability: number}[]} draw indices of `others`
 * @returns {Selection}
 */
function sampled(n, budget, draw) {
  const sinks = Math.min(SINKS, budget, n);
  const newest = Math.max(sinks, n - Math.min(RECENT, budget - sinks));
  const forced = [...range(0, sinks), ...range(newest, n)];
  const others = range(sinks, newest);
  const sample = draw(others, Math.min(others.length, budget - forced.length));
  return {
    positions: [...forced, ...sample.map(({ index }) => others[index])],
    logWeights: [...forced.map(() => 0), ...sample.map(({ probability }) => -Math.log(probability))],
  };
}

/** Every other key with the same probability. @type {Selector} */
export const sampleUniformly = ({ logits: { length: n }, random }, budget) =>
  sampled(n, budget, (others, count) =>
    // The `count` least of random numbers: all sets of so many are equally likely.
    largest(Float64Array.from(others, random), count).map((index) => ({ index, probability: count / others.length })),
  );

/**
 * Each key with the probability that at least two of `tables` hash tables of ten random hyperplanes have it where they have the
 * query, independently (MagicPIG, arXiv 2410.16179, keys centred; an ideal form, as tables of real hashes are not independent),
 * with as many tables as give the budget on average.
 * @type {Selector}
 */
export const sampleByHashes = ({ logits, query, scale, notes: { mean, distance }, random }, budget) =>
  sampled(logits.length, budget, (others, count) => {
    const centre = /** @type {Float64Array} */ (mean);
    const length = Math.hypot(...query);
    const toMean = query.reduce((sum, x, d) => sum + x * centre[d], 0);
    // Log of the probability that one table does not have it.
    const misses = Float64Array.from(others, (position) => {
      const cosine = (logits[position] / scale - toMean) / (length * distance[position]);
      return Math.log1p(-((1 - Math.acos(Math.max(-1, Math.min(1, cosine))) / Math.PI) ** BITS));
    });
    const chances = chancesOf(misses, count);
    return range(0, others.length)
      .filter((index) => random() < chances[index])
      .map((index) => ({ index, probability: chances[index] }));
  });

/**
 * Probabilities of being in two tables or more, of as many tables as let them sum to `count`.
 * @param {Float64Array} misses
 * @param {number} count
 */
function chancesOf(misses, count) {
  const chances = (/** @type {number} */ tables) =>
    misses.map((miss) => 1 - Math.exp(tables * miss) - tables * -Math.expm1(miss) * Math.exp((tables - 1) * miss));
  if (count >= misses.length) return misses.fill(1);
  let [few, many] = [0, 60]; // logarithms to base two of numbers of tables
  for (let i = 0; i < 20; i++) {
    const middle = (few + many) / 2;
    if (chances(2 ** middle).reduce((sum, x) => sum + x, 0) < count) few = middle;
    else many = middle;
  }
  return chances(2 ** many);
}

/**
 * As many draws as the budget, each key with its softmax weight for its probability: what sampling can do at best, an oracle. The
 * output is the mean of the values drawn; a key is read once however often it is drawn. @type {Selector}
 */
export function sampleOfSoftmax({ logits, random }, budget) {
  const peak = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  const sums = Float64Array.from(logits, (x) => (total += Math.exp(x - peak)));
  const draws = Float64Array.from({ length: budget }, () => random() * total).sort();
  /** @type {Map<number, number>} */
  const times = new Map();
  for (let i = 0, position = 0; i < budget; i++) {
    while (position < logits.length - 1 && sums[position] <= draws[i]) position++;
    times.set(position, (times.get(position) ?? 0) + 1);
  }
  const positions = [...times.keys()];
  return { positions, logWeights: positions.map((p) => Math.log(/** @type {number} */ (times.get(p))) - (logits[p] - peak)) };
}

/**
 * The keys that a graph over the keys of the prompt finds, those that came after it, and, as a graph may miss it, the sink.
 * @param {number} sinks positions of the sink that are always taken
 * @returns {Selector}
 */
export const graphKeys =
  (sinks) =>
  ({ logits: { length: n }, query, graph }, budget) => {
    const { size, search } = /** @type {Graph} */ (graph);
    const forced = [...range(0, sinks), ...range(size, n)];
    const found = search(query, Math.max(1, budget - (n - size))).filter((position) => position >= sinks);
    return { positions: [...forced, ...found.slice(0, Math.max(0, budget - forced.length))] };
  };
