/**
 * Chooses the next token from logits. Stages and their order are llama.cpp's: repetition penalty, top-k, top-p, min-p,
 * temperature. Top-p and min-p look at the probabilities before temperature.
 */
import { checkInteger, checkOptions, shown } from '../checks.js';
import { HalfspaceError } from '../errors.js';

/**
 * @typedef {object} SamplerOptions how the next token is chosen
 * @property {number} [temperature] 0 (default) always takes the most probable token; 1 samples the model's own distribution
 * @property {number} [topK] keep the k most probable tokens; 0 (default) keeps all
 * @property {number} [topP] keep the most probable tokens until their mass reaches p; 1 (default) keeps all
 * @property {number} [minP] drop tokens less probable than p times the most probable one; 0 (default) keeps all
 * @property {number} [repetitionPenalty] > 1 makes recent tokens less likely: a positive logit is divided by it, any other
 *   multiplied; 1 (default) is off
 * @property {number} [repetitionWindow] how many of the last tokens are recent (default 64)
 * @property {number} [seed] 0..2^53-1; the same seed gives the same choices. Default: drawn at random
 */

/**
 * @typedef {object} Sampler
 * @property {(logits: Float32Array, recentTokens?: ArrayLike<number>) => number} sample returns a token id. recentTokens
 *   are the context's tokens, newest last. Throws 'bad-argument' when the logits hold NaN or +Infinity, or nothing finite
 */

const MAX_SEED = Number.MAX_SAFE_INTEGER;

/**
 * Name, default, least and greatest value of each number.
 * @type {[keyof SamplerOptions, number, number, number, boolean][]}
 */
const RANGES = [
  ['temperature', 0, 0, Number.MAX_VALUE, false],
  ['topK', 0, 0, 2 ** 31 - 1, true],
  ['topP', 1, 0, 1, false],
  ['minP', 0, 0, 1, false],
  ['repetitionPenalty', 1, Number.MIN_VALUE, Number.MAX_VALUE, false],
  ['repetitionWindow', 64, 0, 2 ** 31 - 1, true],
];

/**
 * @param {string} field
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @param {boolean} integer
 * @returns {number}
 */
function checked(field, value, least, most, integer) {
  const ok = typeof value === 'number' && value >= least && value <= most && (!integer || Number.isInteger(value));
  if (ok) return value;
  const kind = integer ? 'an integer' : 'a number';
  const range = least === Number.MIN_VALUE ? 'above 0' : most < 1e15 ? `in ${least}..${most}` : `of ${least} or more`;
  throw new HalfspaceError('bad-argument', `${field} must be ${kind} ${range}, not ${shown(value)}`, {
    field,
    value,
    limit: [least, most],
  });
}

/**
 * xoshiro128** (Blackman and Vigna), its state filled from the seed by splitmix32: 32-bit integers only, so that every
 * engine draws the same numbers.
 * @param {number} seed
 * @returns {() => number} uniform in [0, 1), 53 bits
 */
export function createRandom(seed) {
  let mix = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) >>> 0;
  const splitmix = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];
  const next32 = () => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return () => ((next32() >>> 5) * 0x4000000 + (next32() >>> 6)) / 2 ** 53;
}

/**
 * Index of the greatest logit, the first of equals.
 * @param {Float32Array} logits
 * @throws {HalfspaceError} 'bad-argument' when there is no choice to make
 */
function checkedArgmax(logits) {
  let best = -1;
  let greatest = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i];
    if (logit > greatest) {
      greatest = logit;
      best = i;
    } else if (logit !== logit) {
      throw new HalfspaceError('bad-argument', `logits[${i}] is NaN`, { field: 'logits', value: logit });
    }
  }
  if (best < 0 || greatest === Infinity) {
    const message = best < 0 ? 'logits hold no finite value' : `logits[${best}] is Infinity`;
    throw new HalfspaceError('bad-argument', message, { field: 'logits', value: best < 0 ? logits.length : greatest });
  }
  return best;
}

/** @param {number} count */
function everyId(count) {
  const ids = new Int32Array(count);
  for (let id = 0; id < count; id++) ids[id] = id;
  return ids;
}

/**
 * The k greatest logits, in no order, by a heap with the least of them on top: most logits cost one comparison.
 * @param {Float32Array} logits
 * @param {number} k 1..logits.length
 * @returns {Int32Array} token ids
 */
function greatestK(logits, k) {
  const heap = new Int32Array(k);
  let size = 0;
  // Of equal logits the lower id stays.
  const lower = (/** @type {number} */ x, /** @type {number} */ y) => logits[x] < logits[y] || (logits[x] === logits[y] && x > y);
  const siftDown = (/** @type {number} */ id) => {
    let i = 0;
    for (let child = 1; child < size; child = 2 * i + 1) {
      if (child + 1 < size && lower(heap[child + 1], heap[child])) child++;
      if (!lower(heap[child], id)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = id;
  };
  for (let id = 0; id < logits.length; id++) {
    if (size < k) {
      let i = size++;
      for (let parent = (i - 1) >> 1; i > 0 && lower(id, heap[parent]); parent = (i - 1) >> 1) {
        heap[i] = heap[parent];
        i = parent;
      }
      heap[i] = id;
    } else if (logits[id] > logits[heap[0]]) {
      siftDown(id);
    }
  }
  return heap;
}

/**
 * The most probable of the candidates until their mass reaches p, at least one, most probable first.
 * @param {Float32Array} logits
 * @param {Int32Array} candidates token ids
 * @param {number} max greatest logit
 * @param {number} p
 * @returns {Int32Array}
 */
function topMass(logits, candidates, max, p) {
  let total = 0;
  for (const id of candidates) total += Math.exp(logits[id] - max);
  // All tokens below this share hold less than 1 - p together, so the cut lies above it: only the rest is sorted.
  const least = ((1 - p) / candidates.length) * total;
  const likely = candidates.filter((id) => Math.exp(logits[id] - max) >= least);
  likely.sort((x, y) => logits[y] - logits[x] || x - y);
  let mass = 0;
  let count = 0;
  while (count < likely.length && (count === 0 || mass < p * total)) mass += Math.exp(logits[likely[count++]] - max);
  return likely.subarray(0, count);
}

/**
 * @param {Float32Array} logits
 * @param {Int32Array} candidates token ids
 * @param {number} max greatest logit
 * @param {number} temperature
 * @param {number} random in [0, 1)
 */
function draw(logits, candidates, max, temperature, random) {
  const weights = new Float64Array(candidates.length);
  let total = 0;
  for (let i = 0; i < candidates.length; i++) {
    total += weights[i] = Math.exp((logits[candidates[i]] - max) / temperature);
  }
  let left = random * total;
  let last = 0;
  for (let i = 0; i < candidates.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    left -= weights[i];
    if (left < 0) break;
  }
  return candidates[last];
}

/**
 * @param {SamplerOptions} [options]
 * @returns {Sampler}
 * @throws {HalfspaceError} 'bad-argument' naming the option that is out of range
 */
export function createSampler(options = {}) {
  checkOptions('sampler', options);
  const [temperature, topK, topP, minP, penalty, window] = RANGES.map(([field, otherwise, least, most, integer]) =>
    checked(field, options[field] ?? otherwise, least, most, integer),
  );
  const seed = options.seed ?? Math.floor(Math.random() * MAX_SEED);
  const random = createRandom(checked('seed', seed, 0, MAX_SEED, true));
  /** The caller's logits stay as they are: penalties change a copy. */
  let scratch = new Float32Array(0);

  /**
   * @param {Float32Array} logits
   * @param {ArrayLike<number>} recentTokens
   */
  const penalise = (logits, recentTokens) => {
    if (scratch.length !== logits.length) scratch = new Float32Array(logits.length);
    scratch.set(logits);
    const recent = new Set();
    for (let i = Math.max(0, recentTokens.length - window); i < recentTokens.length; i++) recent.add(recentTokens[i]);
    for (const id of recent) {
      checkInteger('recentTokens', id, 0, 2 ** 31 - 1);
      scratch[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    }
    return scratch;
  };

  return {
    sample(logits, recentTokens = []) {
      const scored = penalty === 1 || window === 0 ? logits : penalise(logits, recentTokens);
      const best = checkedArgmax(scored);
      if (temperature === 0 || topK === 1) return best;
      const max = scored[best];
      let candidates = topK > 0 && topK < scored.length ? greatestK(scored, topK) : everyId(scored.length);
      if (topP < 1) candidates = topMass(scored, candidates, max, topP);
      if (minP > 0) {
        const least = max + Math.log(minP);
        candidates = candidates.filter((id) => scored[id] >= least);
      }
      return draw(scored, candidates, max, temperature, random());
    },
  };
}
