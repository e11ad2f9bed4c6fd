/** The number of keys from which attention by the index is faster than dense attention. */
import { attend, KvCache } from '../../../web/attention.js';
import { lineChart } from '../../../web/cli/bench/chart.js';
import { NOISE } from '../../../web/cli/bench/keys.js';
import { relativeError, timeInTurn } from '../../../web/cli/bench/timing.js';
import { attendWay, FORCED } from '../../../web/cli/bench/ways.js';
import { mean, significant } from '../../../web/cli/numbers.js';
import { captured, captureText, firstHeads } from '../captured.js';
import { logitsOf, split, storedRows, weighted } from '../plain.js';

const SIZES = {
  quick: [2 ** 8, 2 ** 10, 2 ** 12, 2 ** 14],
  full: Array.from({ length: 9 }, (_, i) => 2 ** (8 + i)),
};
const POWER = 0.8;
/** Sums in f32, and weights near the threshold that are small differences. */
const RELU_TOLERANCE = 1e-3;

/**
 * @typedef {{ms: number, error: number}} Step error: relative to dense softmax, of relu to ReLU attention by brute force
 * @typedef {{n: number, ways: Record<string, Step>}} Row
 * @typedef {import('../../../web/cli/bench/keys.js').Source} Source
 */

/**
 * @param {import('../section.js').Section} section
 * @param {import('../section.js').Setting} setting
 * @param {number[]} [sizes] numbers of keys, ascending
 */
export async function run(section, setting, sizes = SIZES[setting.quick ? 'quick' : 'full']) {
  const from = await captured(setting);
  const heads = firstHeads(from);
  const wasm = { variant: setting.variant };
  await measure(heads[0], sizes[0], wasm); // the first calls run code that is not optimised yet
  /** @type {Row[][]} */
  const each = heads.map(() => []);
  for (const n of sizes) {
    setting.log(`${n} keys`);
    for (const [i, head] of heads.entries()) each[i].push(await measure(head, n, wasm));
  }
  section.text(
    `A step of one KV head and its ${heads[0].queries[0].length / heads[0].headDim} query heads over int8 keys, every way in turn with dense, none falling back to dense: dense / way (error of the output, %), means over KV head 0 of ${captureText(from)}; longer contexts repeat these keys with noise of ${NOISE} of their deviation. ` +
      `relu reports n^0.8 keys of every query, the threshold being told, and its error is against ReLU attention by brute force. Crossover: the least number of keys from which a way stays faster, between two sizes by interpolation.`,
  );
  describe(section, heads, each);
}

/**
 * @param {Source} source of one KV head
 * @param {number} n
 * @param {import('../../../web/core/wasm-loader.js').LoadOptions} wasm
 * @returns {Promise<Row>}
 */
export async function measure({ headDim, queries, rows }, n, wasm) {
  const cache = await KvCache.create({ headDim, wasm });
  try {
    for (const piece of rows(n)) cache.append(piece);
    const r = Math.ceil(n ** POWER);
    const stored = storedRows(cache);
    const logits = queries.map((step) => split(step, headDim).map((q) => logitsOf(q, stored.keys)));
    const thresholds = logits.map((step) => step.map((each) => each.toSorted()[n - r]));
    const ways = {
      dense: attendWay(cache, queries, { mode: 'dense' }),
      fast: attendWay(cache, queries, FORCED),
      'fast r=64': attendWay(cache, queries, { ...FORCED, r: 64 }),
      'fast r=n^0.8': attendWay(cache, queries, { ...FORCED, r }),
      'exact r=n^0.8': attendWay(cache, queries, { ...FORCED, strength: 'exact', r }),
      'certified eps=0.1': attendWay(cache, queries, { ...FORCED, strength: 'certified', eps: 0.1 }),
      relu: reluWay(cache, queries, thresholds),
    };
    const times = await timeInTurn(Object.fromEntries(Object.entries(ways).map(([name, way]) => [name, way.run])), queries.length);
    const reference = queries.map((_, step) => ways.dense.look(step).output);
    const bruteRelu = logits.map((step, i) =>
      step.flatMap((each, g) => Array.from(reluOf(each, stored.values, headDim, thresholds[i][g]))),
    );
    const figures = Object.entries(ways).map(([name, { look }]) => {
      const against = name === 'relu' ? bruteRelu : reference;
      return [name, { ms: times[name].median, error: mean(queries.map((_, step) => relativeError(look(step).output, against[step], headDim))) }]; // prettier-ignore
    });
    const found = /** @type {Row['ways']} */ (Object.fromEntries(figures));
    if (!(found.relu.error <= RELU_TOLERANCE)) throw new Error(`ReLU attention of ${n} keys is off by ${found.relu.error}`);
    return { n, ways: found };
  } finally {
    cache.free();
  }
}

/**
 * Query heads one by one, each with a threshold of its own.
 * @param {KvCache} cache
 * @param {Float32Array[]} queries
 * @param {number[][]} thresholds [steps][heads]
 */
function reluWay(cache, queries, thresholds) {
  const heads = queries.map((step, i) => split(step, cache.headDim).map((q, g) => ({ q, b: thresholds[i][g] })));
  const attended = (/** @type {number} */ step) => heads[step].map(({ q, b }) => attend(cache, q, { mode: 'relu', b }).output);
  return { run: attended, look: (/** @type {number} */ step) => ({ output: attended(step).flatMap((output) => Array.from(output)) }) };
}

/**
 * ReLU attention of power 1 by brute force.
 * @param {Float64Array} logits
 * @param {Float32Array} values
 * @param {number} d
 * @param {number} b
 */
function reluOf(logits, values, d, b) {
  const least = Math.fround(b);
  const { mass, sum } = weighted(
    logits.map((x) => Math.max(0, x - least)),
    values,
    d,
  );
  return sum.map((x) => (mass > 0 ? x / mass : 0));
}

/**
 * The least n from which ratios stay above 1, the logarithm of the ratio interpolated over the logarithm of n.
 * @param {{n: number, ratio: number}[]} points ascending
 * @returns {{n: number, kind: 'from the first size' | 'at' | 'never'}}
 */
export function crossing(points) {
  const last = points.findLastIndex(({ ratio }) => ratio <= 1);
  if (last < 0) return { n: points[0].n, kind: 'from the first size' };
  if (last === points.length - 1) return { n: points[last].n, kind: 'never' };
  const [a, b] = [points[last], points[last + 1]];
  const part = Math.log(1 / a.ratio) / Math.log(b.ratio / a.ratio);
  return { n: Math.round(a.n * (b.n / a.n) ** part), kind: 'at' };
}

/** @param {ReturnType<typeof crossing>} found */
const words = ({ n, kind }) => ({ 'from the first size': `${n} or fewer`, at: String(n), never: `never up to ${n}` })[kind];

/** @param {import('../section.js').Section} section @param {Source[]} heads @param {Row[][]} each [heads][sizes] */
function describe(section, heads, each) {
  const names = Object.keys(each[0][0].ways).filter((name) => name !== 'dense');
  const sizes = each[0].map(({ n }) => n);
  const over = (/** @type {number} */ i, /** @type {(row: Row) => number} */ pick) => mean(each.map((rows) => pick(rows[i])));
  const ratio = (/** @type {number} */ i, /** @type {string} */ name) =>
    over(i, ({ ways }) => ways.dense.ms) / over(i, ({ ways }) => ways[name].ms);
  const points = (/** @type {string} */ name) => sizes.map((n, i) => ({ n, ratio: ratio(i, name) }));
  const perHead = (/** @type {string} */ name) =>
    each.map((rows) => crossing(rows.map(({ n, ways }) => ({ n, ratio: ways.dense.ms / ways[name].ms }))));
  section.table(
    'Dense / way (error of the output, %)',
    ['keys', 'dense ms', ...names],
    [
      ...sizes.map((n, i) => [
        n,
        significant(over(i, ({ ways }) => ways.dense.ms)),
        ...names.map((name) => `${significant(ratio(i, name), 3)} (${significant(100 * over(i, ({ ways }) => ways[name].error), 2)})`),
      ]),
      ['faster from', '', ...names.map((name) => words(crossing(points(name))))],
      ...heads.map(({ name: head }, h) => [`faster from, ${head}`, '', ...names.map((name) => words(perHead(name)[h]))]),
    ],
  );
  section.chart(
    'Dense / way over the number of keys',
    lineChart(
      'Time of dense attention / time of a way',
      { x: 'keys', y: 'dense / way (1: the same)' },
      names.map((name) => ({ name, points: points(name).map(({ n, ratio: x }) => [n, x]) })),
    ),
  );
  const never = names.filter((name) => crossing(points(name)).kind === 'never');
  const most = sizes[sizes.length - 1];
  if (never.length > 0)
    section.says(
      `Not faster than dense attention up to ${most} keys: ${never.map((name) => `${name} (${significant(1 / ratio(sizes.length - 1, name), 2)} times as long)`).join(', ')}.`,
    );
  const late = names.filter((name) => crossing(points(name)).kind === 'at');
  if (late.length > 0)
    section.says(
      `Slower than dense attention below ${late.map((name) => `${crossing(points(name)).n} keys (${name})`).join(', ')}, means over heads; single heads differ.`,
    );
}
