/** `bench attention`: one layer's attention step at several lengths, f32 and int8, dense and by half-space reporting. */
import { attend, KvCache } from '../../attention.js';
import { coreOf } from '../../attention/core.js';
import { capture, hasModel } from '../capture.js';
import { continued, gaussian, NOISE, provenance } from './keys.js';
import { mean, percent, significant } from './numbers.js';
import { environment, Report } from './report.js';
import { relativeError, timeInTurn } from './timing.js';

const STEPS = 16;
/** Of SmolLM2, where no model is given. */
const SHAPE = { headDim: 64, kvHeads: 3, group: 3, steps: STEPS };

/**
 * @typedef {import('../../attention/attend.js').Attended} Attended
 * @typedef {{median: number, min: number, calls: number, error: number, exactFraction: number, leavesOpened: number,
 *   denseFraction: number}} Figure error: mean relative error of the output against dense f32; denseFraction: query heads that fast
 *   computed densely because that was cheaper
 */

/**
 * @param {import('../common.js').ModelOptions & {file?: string, ctx: number, sizes: number[], layer: number, out?: string}} options model: optional
 */
export async function attentionStep(options) {
  const wasm = { variant: options.variant };
  const where = environment((await coreOf(wasm)).wasm.variant);
  const source = await sourceOf(options);
  const queryHeads = source.queries[0].length / source.headDim;
  const rows = [];
  for (const n of options.sizes) rows.push({ n, ways: await measure(source, n, wasm) });
  const report = new Report('attention', where);
  report.text(`${source.name}\n${queryHeads} query heads over ${source.kvHeads} KV heads, ms per step, error against dense f32`);
  describe(report, rows);
  const captured = hasModel(options) ? options.ctx : 0;
  await report.publish({ ...where, keys: source.name, captured, noise: NOISE, queryHeads, kvHeads: source.kvHeads, rows }, options);
}

/** @param {Parameters<typeof attentionStep>[0]} options */
async function sourceOf(options) {
  const { ctx, layer } = options;
  if (!hasModel(options)) return gaussian(SHAPE);
  const captured = await capture(options, { layers: [layer], steps: STEPS });
  return continued(provenance(captured.model, `layer ${layer}`, ctx), captured.layers[0]);
}

/**
 * Step by step in turn, so that the caches displace each other from the processor's, as a model's layers do.
 * @param {import('./keys.js').Source} source
 * @param {number} n
 * @param {import('../../wasm-loader.js').LoadOptions} wasm
 * @returns {Promise<Record<string, Figure>>}
 */
async function measure(source, n, wasm) {
  const { headDim, kvHeads, queries } = source;
  const [f32, q8] = [
    await KvCache.create({ headDim, kvHeads, type: 'f32', wasm }),
    await KvCache.create({ headDim, kvHeads, type: 'q8', wasm }),
  ];
  try {
    for (const rows of source.rows(n)) for (const cache of [f32, q8]) cache.append(rows);
    /** @type {Record<string, (step: number) => Attended>} */
    const ways = {
      'dense f32': (step) => attend(f32, queries[step], { mode: 'dense' }),
      'dense int8': (step) => attend(q8, queries[step], { mode: 'dense' }),
      fast: (step) => attend(q8, queries[step]),
    };
    const reference = queries.map((_, step) => ways['dense f32'](step).output);
    const times = timeInTurn(ways, queries.length);
    const figures = Object.entries(ways).map(([name, run]) => {
      const looks = queries.map((_, step) => run(step));
      const figure = {
        median: significant(times[name].median, 4),
        min: significant(times[name].min, 4),
        calls: times[name].calls,
        error: significant(mean(looks.map(({ output }, step) => relativeError(output, reference[step], headDim)))),
        exactFraction: significant(mean(looks.map(({ stats }) => stats.exactFraction))),
        leavesOpened: significant(mean(looks.map(({ stats }) => (stats.leavesTotal > 0 ? stats.leavesOpened / stats.leavesTotal : 1)))),
        denseFraction: significant(mean(looks.map(({ stats }) => stats.dense / stats.queries))),
      };
      return [name, figure];
    });
    return Object.fromEntries(figures);
  } finally {
    f32.free();
    q8.free();
  }
}

/** @param {Report} report @param {{n: number, ways: Record<string, Figure>}[]} rows */
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
}
