/** `bench attention`: one layer's attention step at several lengths, f32 and int8, dense and by half-space reporting. */
import { attend, KvCache } from '../../attention.js';
import { sharedWasm } from '../../core/shared.js';
import { capture, hasModel } from '../capture.js';
import { mean, percent, significant } from '../numbers.js';
import { lineChart } from './chart.js';
import { checkout } from './checkout.js';
import { continued, gaussian, NOISE, provenance } from './keys.js';
import { environment, Report } from './report.js';
import { relativeError, timeInTurn } from './timing.js';
import { describeTop, topKeys } from './top.js';

const STEPS = 16;
/** Of SmolLM2, where no model is given. */
const SHAPE = { headDim: 64, kvHeads: 3, group: 3, steps: STEPS };

/** Keys up to which peers take part: their model holds a copy. */
const MOST_OF_PEERS = 2 ** 16;

/**
 * @typedef {import('../../attention/attend.js').Attended} Attended
 * @typedef {{median: number, min: number, calls: number, error: number, exactFraction: number, leavesOpened: number,
 *   denseFraction: number}} Figure error: mean relative error of the output against dense f32; denseFraction: query heads that fast
 *   computed densely because that was cheaper
 *
 * @typedef {object} DensePeer computes the dense step
 * @property {string} name
 * @property {string} version
 * @property {(query: Float32Array) => Promise<Float32Array>} run
 * @property {() => Promise<void>} close
 *
 * @typedef {import('../common.js').ModelOptions & {file?: string, ctx: number, sizes: number[], layer: number, out?: string,
 *   peers?: boolean}} AttentionOptions model: optional
 * @typedef {import('./keys.js').Source} Source
 * @typedef {{n: number, ways: Record<string, Figure>}} Row
 */

/** @param {AttentionOptions} options */
export async function attentionStep(options) {
  const wasm = { variant: options.variant };
  const { variant } = await sharedWasm(wasm);
  const source = await sourceOf(options);
  const queryHeads = source.queries[0].length / source.headDim;
  /** @type {Row[]} */
  const rows = [];
  /** @type {Map<string, string>} */
  const versions = new Map();
  for (const n of options.sizes) {
    const peers = options.peers && n <= MOST_OF_PEERS ? [await (await checkout()).onnxAttention(source, n)] : [];
    try {
      for (const { name, version } of peers) versions.set(name, version);
      rows.push({ n, ways: await measure(source, n, wasm, peers) });
    } finally {
      for (const peer of peers) await peer.close();
    }
  }
  const top = options.peers ? await topKeys(source, options.sizes, versions) : undefined;
  const peers = Array.from(versions, ([name, version]) => ({ name, version }));
  const where = environment(variant, { peers });
  const report = new Report('attention', where);
  report.text(`${source.name}\n${queryHeads} query heads over ${source.kvHeads} KV heads, ms per step, error against dense f32`);
  describe(report, rows);
  if (top) describeTop(report, top);
  const captured = hasModel(options) ? options.ctx : 0;
  await report.publish({ ...where, keys: source.name, captured, noise: NOISE, queryHeads, kvHeads: source.kvHeads, rows, top }, options);
}

/** @param {AttentionOptions} options */
async function sourceOf(options) {
  const { ctx, layer } = options;
  if (!hasModel(options)) return gaussian(SHAPE);
  const captured = await capture(options, { layers: [layer], steps: STEPS });
  return continued(provenance(captured.model, `layer ${layer}`, ctx), captured.layers[0]);
}

/**
 * Step by step in turn, so that the caches displace each other from the processor's, as a model's layers do.
 * @param {Source} source
 * @param {number} n
 * @param {import('../../core/wasm-loader.js').LoadOptions} wasm
 * @param {DensePeer[]} peers
 * @returns {Promise<Record<string, Figure>>}
 */
async function measure(source, n, wasm, peers) {
  const { headDim, kvHeads, queries } = source;
  const [f32, q8] = [
    await KvCache.create({ headDim, kvHeads, type: 'f32', wasm }),
    await KvCache.create({ headDim, kvHeads, type: 'q8', wasm }),
  ];
  try {
    for (const rows of source.rows(n)) for (const cache of [f32, q8]) cache.append(rows);
    const attended =
      (/** @type {KvCache} */ cache, /** @type {import('../../attention/attend.js').AttendOptions} */ options) =>
      (/** @type {number} */ step) =>
        attend(cache, queries[step], options);
    const ways = { 'dense f32': attended(f32, { mode: 'dense' }), 'dense int8': attended(q8, { mode: 'dense' }), fast: attended(q8, {}) };
    const others = Object.fromEntries(peers.map((peer) => [peer.name, (/** @type {number} */ step) => peer.run(queries[step])]));
    const reference = queries.map((_, step) => ways['dense f32'](step).output);
    const times = await timeInTurn({ ...ways, ...others }, queries.length);
    const errorOf = (/** @type {ArrayLike<number>[]} */ outputs) =>
      significant(mean(outputs.map((output, step) => relativeError(output, reference[step], headDim))));
    const timeOf = (/** @type {string} */ name) => ({
      median: significant(times[name].median, 4),
      min: significant(times[name].min, 4),
      calls: times[name].calls,
    });
    const figures = Object.entries(ways).map(([name, run]) => {
      const looks = queries.map((_, step) => run(step));
      const figure = {
        ...timeOf(name),
        error: errorOf(looks.map(({ output }) => output)),
        exactFraction: significant(mean(looks.map(({ stats }) => stats.exactFraction))),
        leavesOpened: significant(mean(looks.map(({ stats }) => (stats.leavesTotal > 0 ? stats.leavesOpened / stats.leavesTotal : 1)))),
        denseFraction: significant(mean(looks.map(({ stats }) => stats.dense / stats.queries))),
      };
      return [name, figure];
    });
    for (const [name, run] of Object.entries(others)) {
      const outputs = [];
      for (const step of queries.keys()) outputs.push(await run(step));
      figures.push([name, { ...timeOf(name), error: errorOf(outputs), exactFraction: 1, leavesOpened: 1, denseFraction: 1 }]);
    }
    return Object.fromEntries(figures);
  } finally {
    f32.free();
    q8.free();
  }
}

/** @param {Report} report @param {Row[]} rows */
function describe(report, rows) {
  report.table(
    ['keys', 'attention', 'median', 'min', 'dense int8/this', 'error %', 'keys exact %', 'leaves opened %', 'fell back to dense %'],
    rows.flatMap(({ n, ways }) =>
      Object.entries(ways).map(([name, { median, min, error, exactFraction, leavesOpened, denseFraction }]) => [
        n,
        name,
        median,
        min,
        significant(ways['dense int8'].median / median),
        significant(100 * error),
        percent(exactFraction),
        percent(leavesOpened),
        percent(denseFraction),
      ]),
    ),
  );
  const names = [...new Set(rows.flatMap(({ ways }) => Object.keys(ways)))];
  report.chart(
    'Attention step',
    lineChart(
      'Time of the attention step of one layer',
      { x: 'keys', y: 'ms per step' },
      names.map((name) => ({ name, points: rows.filter(({ ways }) => name in ways).map(({ n, ways }) => [n, ways[name].median]) })),
    ),
  );
}
