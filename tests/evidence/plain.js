/** Attention of one query and its thresholds, computed plainly in double: what everything else is compared with. */

/**
 * <q, k> / sqrt(d).
 * @param {ArrayLike<number>} q [d]
 * @param {ArrayLike<number>} keys [n][d]
 */
export function logitsOf(q, keys) {
  const d = q.length;
  const scale = 1 / Math.sqrt(d);
  return Float64Array.from({ length: keys.length / d }, (_, key) => {
    let sum = 0;
    for (let i = 0, at = key * d; i < d; i++, at++) sum += q[i] * keys[at];
    return scale * sum;
  });
}

/** @param {ArrayLike<number>} numbers */
export function largest(numbers) {
  let most = -Infinity;
  for (let i = 0; i < numbers.length; i++) if (numbers[i] > most) most = numbers[i];
  return most;
}

/** @param {ArrayLike<number>} logits @param {number} b */
export function countFrom(logits, b) {
  let count = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i] >= b) count++;
  return count;
}

const HALVINGS = 40;

/**
 * The largest b, within 2^-HALVINGS of the range of logits, at which queries have on average at least `wanted` keys.
 * @param {ArrayLike<number>[]} logits of the keys, for each query
 * @param {number} wanted at most the number of keys
 */
export function bisectThreshold(logits, wanted) {
  let [low, high] = [-largest(logits.map((each) => largest(Float64Array.from(each, (x) => -x)))), largest(logits.map(largest))];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    const count = logits.reduce((sum, each) => sum + countFrom(each, middle), 0) / logits.length;
    if (count >= wanted) low = middle;
    else high = middle;
  }
  return low;
}

/** exp(logit - the largest one). @param {Float64Array} logits */
export function softmaxWeights(logits) {
  const most = largest(logits);
  return logits.map((x) => Math.exp(x - most));
}

/**
 * Sum of weights, and of weight * value.
 * @param {ArrayLike<number>} weights [n]
 * @param {ArrayLike<number>} values [n][d]
 * @param {number} d
 * @param {ArrayLike<number>} [keys] some of the n; default all
 */
export function weighted(weights, values, d, keys) {
  const sum = new Float64Array(d);
  let mass = 0;
  const count = keys?.length ?? weights.length;
  for (let i = 0; i < count; i++) {
    const key = keys ? keys[i] : i;
    const weight = weights[key];
    mass += weight;
    if (weight !== 0) for (let at = 0; at < d; at++) sum[at] += weight * values[key * d + at];
  }
  return { mass, sum };
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function distance(a, b) {
  let square = 0;
  for (let i = 0; i < a.length; i++) square += (a[i] - b[i]) ** 2;
  return Math.sqrt(square);
}

/** Root of the mean square. @param {ArrayLike<number>} numbers */
export function rms(numbers) {
  let square = 0;
  for (let i = 0; i < numbers.length; i++) square += numbers[i] ** 2;
  return Math.sqrt(square / numbers.length);
}

/** The keys and values of one KV head as a cache stores them. @param {import('../../web/attention.js').KvCache} cache */
export function storedRows(cache) {
  const { length, headDim } = cache;
  const [keys, values] = [new Float32Array(length * headDim), new Float32Array(length * headDim)];
  for (let position = 0; position < length; position++) {
    keys.set(cache.key(position), position * headDim);
    values.set(cache.value(position), position * headDim);
  }
  return { keys, values };
}

/** The vectors of length d that rows hold. @param {Float32Array} rows @param {number} d */
export const split = (rows, d) => Array.from({ length: rows.length / d }, (_, i) => rows.subarray(i * d, (i + 1) * d));
