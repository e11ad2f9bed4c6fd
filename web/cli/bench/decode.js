/** `bench decode`: time per token at several contexts, dense, hsr and peers in turn over the same tokens, with hsr's error. */
import { checkInteger } from '../../checks.js';
import { mean, percent, round, significant } from '../numbers.js';
import { lineChart } from './chart.js';
import { besideHogs } from './hogs.js';
import { profileDecode } from './profile.js';
import { perToken, ratioOf, spread, timesOf } from './ratios.js';
import { Report } from './report.js';
import { withSubjects } from './subjects.js';

/**
 * @typedef {import('./subjects.js').Subject} Subject
 * @typedef {import('./subjects.js').Group} Group
 * @typedef {import('./session.js').Quality} Quality
 * @typedef {import('./ratios.js').Time} Time
 * @typedef {import('./ratios.js').Ratio} Ratio
 *
 * @typedef {object} Row
 * @property {number} context
 * @property {number} prefillTokensPerSecond of what lies between the context before and this one, as the engine does by default
 * @property {Time} dense per token: medians and least of rounds
 * @property {Time} hsr
 * @property {number} ratio dense / hsr, median over rounds
 * @property {number} exactFraction hsr
 * @property {number} kl hsr against dense
 * @property {number} top1Agreement hsr with dense
 * @property {Record<string, Time>} peers
 * @property {Record<string, Ratio>} ratios what dense and each peer take of hsr's time
 */

const CONTEXTS = [512, 2048, 4096, 8000];
const PROFILED = [512, 8000];

/** @param {import('./subjects.js').SubjectOptions & {contexts?: number[], tokens: number}} options */
export async function decode(options) {
  const given = options.contexts ?? (options.profile ? PROFILED : CONTEXTS);
  const contexts = given.map((n) => checkInteger('contexts', n, 1, 2 ** 20)).toSorted((a, b) => a - b);
  const tokens = checkInteger('tokens', options.tokens, 1, 1000);
  if (options.profile) return profileDecode(options, contexts, tokens);
  await withSubjects({ ...options, states: true }, { contexts, round: tokens }, async (group) => {
    const rows = [];
    for (const [i, n] of contexts.entries()) rows.push(await measure(group, i === 0 ? 0 : contexts[i - 1], n, tokens, options));
    const { where } = group;
    const report = new Report('decode', where);
    describe(report, rows, tokens, options);
    await report.publish({ ...where, kv: options.kv, hog: options.hog, tokens, repeats: options.repeats, rows }, options);
  });
}

/**
 * @param {Group} group
 * @param {number} from tokens in every context
 * @param {number} n
 * @param {number} tokens
 * @param {import('./subjects.js').SubjectOptions} options
 * @returns {Promise<Row>}
 */
async function measure({ ours, peers, ids }, from, n, tokens, { repeats, hog }) {
  const rest = ids.slice(from, n);
  const prefillMs = await ours.prefill(rest, 'hsr'); // as the engine prefills by default
  const taking = peers.filter(({ most }) => n <= most);
  for (const peer of taking) await peer.prefill(rest);
  const next = ids.slice(n, n + tokens);
  /** @type {Record<string, number[]>} */
  const times = Object.fromEntries(['dense', 'hsr', ...taking.map(({ name }) => name)].map((name) => [name, []]));
  /** @type {Quality[]} */
  const qualities = [];
  const rounds = async () => {
    // Compiled code gets faster at first.
    for (const mode of /** @type {const} */ (['dense', 'hsr'])) await ours.round(next, mode);
    for (const peer of taking) await peer.round(next);
    for (let i = 0; i < repeats; i++) {
      times.dense.push(perToken(await ours.round(next, 'dense')));
      const hsr = await ours.round(next, 'hsr');
      times.hsr.push(perToken(hsr));
      qualities.push(/** @type {Quality} */ (hsr.quality));
      for (const peer of taking) times[peer.name].push(perToken(await peer.round(next)));
    }
  };
  await besideHogs(hog, rounds);
  const { dense, hsr, ...others } = timesOf(times);
  const ratios = Object.fromEntries(
    Object.entries(times)
      .filter(([name]) => name !== 'hsr')
      .map(([name, ms]) => [name, ratioOf(ms, times.hsr)]),
  );
  const over = (/** @type {keyof Quality} */ field, /** @type {number} */ digits) => round(mean(qualities.map((q) => q[field])), digits);
  return {
    context: n,
    prefillTokensPerSecond: round((1000 * rest.length) / prefillMs, 1),
    dense,
    hsr,
    ratio: ratios.dense.median,
    exactFraction: over('exactFraction', 4),
    kl: over('kl', 5),
    top1Agreement: over('top1Agreement', 4),
    peers: others,
    ratios,
  };
}

/** @param {Report} report @param {Row[]} rows @param {number} tokens @param {import('./subjects.js').SubjectOptions} options */
function describe(report, rows, tokens, { repeats, hog }) {
  if (hog > 0) report.text(`beside ${hog} busy process(es)`);
  report.text(
    `ms per token: median and least of ${repeats} rounds of ${tokens} tokens, all in turn; ratio to hsr: median (least..most) of rounds`,
  );
  const lines = rows.flatMap((row) =>
    Object.entries({ dense: row.dense, hsr: row.hsr, ...row.peers }).map(([name, time]) => ({ row, name, time })),
  );
  report.table(
    ['context', 'decoding', 'median', 'min', 'time/hsr', 'tokens/s', 'exact %', 'KL', 'top-1 %'],
    lines.map(({ row, name, time }) => [
      row.context,
      name,
      time.median,
      time.min,
      spread(row.ratios[name]),
      significant(1000 / time.median),
      ...(name === 'hsr' ? [percent(row.exactFraction), row.kl, percent(row.top1Agreement, 1)] : ['', '', '']),
    ]),
  );
  const names = [...new Set(lines.map(({ name }) => name))];
  report.chart(
    'Time per token',
    lineChart(
      'Time per token over the context',
      { x: 'tokens in the context', y: 'ms per token' },
      names.map((name) => ({
        name,
        points: lines.filter((line) => line.name === name).map(({ row, time }) => [row.context, time.median]),
      })),
    ),
  );
}
