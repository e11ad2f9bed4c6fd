/** Plain references for the index and attention: every key, in double. */

/**
 * The product the index is exact to; the two zeros are one.
 * @param {ArrayLike<number>} q
 * @param {ArrayLike<number>} key
 */
export function product(q, key) {
  let sum = 0;
  for (let i = 0; i < key.length; i++) sum += q[i] * key[i];
  return Math.fround(sum) + 0;
}

/**
 * @param {ArrayLike<number>} q
 * @param {Iterable<[number, ArrayLike<number>]>} keys positions and keys, in order
 * @param {number} b
 */
export function bruteReport(q, keys, b) {
  const all = Array.from(keys, ([position, key]) => ({ position, product: product(q, key) })).filter((hit) => hit.product >= b);
  return { positions: all.map((hit) => hit.position), products: all.map((hit) => hit.product) };
}

/**
 * @param {ArrayLike<number>} q
 * @param {Iterable<[number, ArrayLike<number>]>} keys
 * @param {number} r
 */
export function bruteTop(q, keys, r) {
  const { positions, products } = bruteReport(q, keys, -Infinity);
  const order = positions.map((_, i) => i).sort((i, j) => products[j] - products[i] || positions[i] - positions[j]);
  const first = order.slice(0, r);
  return { positions: first.map((i) => positions[i]), products: first.map((i) => products[i]) };
}

/**
 * @typedef {object} View as in attend(); all default to seeing every key
 * @property {number} [n]
 * @property {boolean} [causal]
 * @property {number} [end]
 * @property {number} [window]
 * @property {number} [sinks]
 * @property {number} [scale]
 * @property {number} [softcap]
 */

/**
 * Keys and values as a cache stores them, per KV head.
 * @param {import('../../../web/attention.js').KvCache} cache
 * @param {Set<number>} [removed] positions that hold nothing
 */
export function storedRows(cache, removed = new Set()) {
  const positions = Array.from({ length: cache.length }, (_, p) => p).filter((p) => !removed.has(p));
  return Array.from({ length: cache.kvHeads }, (_, h) => positions.map((p) => ({ p, key: cache.key(p, h), value: cache.value(p, h) })));
}

/**
 * Attention of every query and head over the keys and values as a cache stores them.
 * @param {import('../../../web/attention.js').KvCache} cache
 * @param {Float32Array} queries [n][heads][headDim]
 * @param {View} view
 * @param {(logits: number[]) => number[]} weigh weights of the keys that are seen, not normalised
 * @param {ReturnType<typeof storedRows>} [rows]
 * @returns {Float64Array} [n][heads][headDim]
 */
export function bruteAttention(cache, queries, view, weigh, rows = storedRows(cache)) {
  const { n = 1, causal = false, end = cache.length, window = 0, sinks = 0, scale = 1 / Math.sqrt(cache.headDim), softcap = 0 } = view;
  const { headDim, kvHeads } = cache;
  const heads = queries.length / (n * headDim);
  const out = new Float64Array(queries.length);
  for (let h = 0; h < heads; h++) {
    const held = rows[Math.floor(h / (heads / kvHeads))];
    for (let i = 0; i < n; i++) {
      const at = (i * heads + h) * headDim;
      const query = queries.subarray(at, at + headDim);
      const last = causal ? end - (n - 1 - i) : end;
      const seen = held.filter(({ p }) => p < last && (window === 0 || p >= last - window || p < sinks));
      const logits = seen.map(({ key }) => {
        let dot = 0;
        for (let d = 0; d < headDim; d++) dot += key[d] * query[d];
        const logit = scale * dot;
        return softcap > 0 ? softcap * Math.tanh(logit / softcap) : logit;
      });
      const weights = weigh(logits);
      const total = weights.reduce((sum, w) => sum + w, 0);
      for (let j = 0; j < seen.length; j++) {
        if (weights[j] > 0) for (let d = 0; d < headDim; d++) out[at + d] += (weights[j] / total) * seen[j].value[d];
      }
    }
  }
  return out;
}

/** Softmax over all logits. @param {number[]} logits */
export function softmax(logits) {
  const most = Math.max(...logits);
  return logits.map((x) => Math.exp(x - most));
}

/** Softmax over the r largest logits alone. @param {number} r @returns {(logits: number[]) => number[]} */
export const softmaxOfTop = (r) => (logits) => {
  const least = logits.slice().sort((x, y) => y - x)[Math.min(r, logits.length) - 1];
  return softmax(logits).map((w, i) => (logits[i] >= least ? w : 0));
};

/** Softmax over the fewest logits that hold the share p of the mass. @param {number} p @returns {(logits: number[]) => number[]} */
export const softmaxOfShare = (p) => (logits) => {
  const weights = softmax(logits);
  const total = weights.reduce((sum, w) => sum + w, 0);
  const sorted = weights.slice().sort((x, y) => y - x);
  let held = 0;
  let r = 0;
  while (held < p * total && r < sorted.length) held += sorted[r++];
  return weights.map((w) => (w >= sorted[r - 1] ? w : 0));
};

/** ReLU^alpha. @param {number} b @param {number} alpha @returns {(logits: number[]) => number[]} */
export const relu = (b, alpha) => (logits) => logits.map((x) => Math.max(0, x - b) ** alpha);
