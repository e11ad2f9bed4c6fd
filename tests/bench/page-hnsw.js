/** Top r keys of queries in a page, by hnswlib-wasm and by our index in turn: what hnsw.js calls. */
import { HsrIndex } from '../../web/attention.js';
import { timeInTurn } from '../../web/cli/bench/timing.js';
import { mean } from '../../web/cli/numbers.js';
// @ts-expect-error the server has it
import { loadHnswlib } from '/peers/hnswlib-wasm/dist/hnswlib.js';

const OURS = 'HsrIndex.top';
/** Of an index that is to find more than the library's default: neighbours of a key, and keys looked at while building. */
const [NEIGHBOURS, BUILD_EF, SEED] = [32, 200, 100];

/** @param {string} base64 of f32 numbers @param {number} width @returns {Float32Array[]} rows */
function rowsOf(base64, width) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const floats = new Float32Array(bytes.buffer);
  return Array.from({ length: floats.length / width }, (_, i) => floats.subarray(i * width, (i + 1) * width));
}

/** Softmax weights of all keys. @param {Float32Array} query @param {Float32Array[]} keys */
function weightsOf(query, keys) {
  const logits = Float64Array.from(keys, (key) => key.reduce((sum, x, d) => sum + x * query[d], 0) / Math.sqrt(query.length));
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((x) => Math.exp(x - most));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

/**
 * @param {ArrayLike<number>} found positions
 * @param {Float64Array} weights
 * @param {number} r
 */
function qualityOf(found, weights, r) {
  const best = Array.from(weights.keys())
    .sort((a, b) => weights[b] - weights[a])
    .slice(0, r);
  const massOf = (/** @type {number[]} */ positions) => positions.reduce((sum, position) => sum + weights[position], 0);
  const positions = new Set(Array.from(found));
  return {
    recall: best.filter((position) => positions.has(position)).length / r,
    mass: massOf([...positions]),
    massOfBest: massOf([...positions]) / massOf(best),
  };
}

/** @type {any} */ (globalThis).bench = {
  /** @param {{keys: string, queries: string, headDim: number, r: number, efs: number[]}} task base64 of f32 numbers */
  async top({ keys: keyText, queries: queryText, headDim, r, efs }) {
    const keys = rowsOf(keyText, headDim);
    const queries = rowsOf(queryText, headDim);
    let began = performance.now();
    const index = await HsrIndex.create({ headDim, keys: new Float32Array(keys[0].buffer) });
    const ownMs = performance.now() - began;
    const library = await loadHnswlib();
    const hnsw = new library.HierarchicalNSW('ip', headDim, '');
    began = performance.now();
    hnsw.initIndex(keys.length, NEIGHBOURS, BUILD_EF, SEED);
    const labels = hnsw.addItems(keys, false);
    const hnswMs = performance.now() - began;
    const positionOf = new Map(Array.from(labels, (label, position) => [label, position]));
    /** @type {Record<string, (step: number) => number[]>} */
    const ways = { [OURS]: (step) => Array.from(index.top(queries[step], r).positions) };
    for (const ef of efs) {
      ways[`hnswlib ef=${ef}`] = (step) => {
        hnsw.setEfSearch(ef);
        return hnsw.searchKnn(queries[step], r, undefined).neighbors;
      };
    }
    const times = await timeInTurn(ways, queries.length);
    const weights = queries.map((query) => weightsOf(query, keys));
    return Object.entries(ways).map(([name, run]) => {
      const looks = weights.map((w, step) => {
        const found = run(step);
        return qualityOf(name === OURS ? found : found.map((label) => /** @type {number} */ (positionOf.get(label))), w, r);
      });
      return {
        name,
        ...times[name],
        buildMs: name === OURS ? ownMs : hnswMs,
        recall: mean(looks.map(({ recall }) => recall)),
        mass: mean(looks.map(({ mass }) => mass)),
        massOfBest: mean(looks.map(({ massOfBest }) => massOfBest)),
        leastMassOfBest: Math.min(...looks.map(({ massOfBest }) => massOfBest)),
      };
    });
  },
};
