/** `bench decode --profile` and `bench prefill --profile`: the share of the time by phase, in a build with a clock around each. */
import { badArgument } from '../../errors.js';
import { round, significant } from '../numbers.js';
import { barChart } from './chart.js';
import { totalOf } from './phases.js';
import { Report } from './report.js';
import { withSubjects } from './subjects.js';

/**
 * @typedef {import('./phases.js').Phases} Phases
 * @typedef {import('./subjects.js').SubjectOptions} SubjectOptions
 *
 * @typedef {object} Row
 * @property {number} tokens in the context, or of the prompt
 * @property {import('./subjects.js').Mode} mode
 * @property {number} ms per token, all phases together: mean over the rounds
 * @property {Phases} phases ms per token, in the order of the work
 * @property {Phases} percent
 */

const MODES = /** @type {const} */ (['dense', 'hsr']);
/** Tokens of a prompt that is not counted. */
const WARM_UP = 256;

/** @param {SubjectOptions} options @param {number[]} contexts ascending @param {number} tokens of a round */
export async function profileDecode(options, contexts, tokens) {
  await profile(options, 'decode', { contexts, round: tokens }, async ({ ours, ids }) => {
    const rows = [];
    for (const [i, n] of contexts.entries()) {
      await ours.prefill(ids.slice(i === 0 ? 0 : contexts[i - 1], n), 'hsr');
      // Compiled code gets faster at first.
      for (const mode of MODES) await ours.profileRound(ids.slice(n, n + tokens), mode);
      rows.push(...(await rounds(options.repeats, n, tokens, (mode) => ours.profileRound(ids.slice(n, n + tokens), mode))));
    }
    return rows;
  });
}

/** @param {SubjectOptions} options @param {number[]} lengths ascending */
export async function profilePrefill(options, lengths) {
  await profile(options, 'prefill', { contexts: lengths, round: 0 }, async ({ ours, ids }) => {
    const rows = [];
    for (const mode of MODES) await ours.profilePrefill(ids.slice(0, Math.min(WARM_UP, lengths[0])), mode);
    for (const n of lengths) rows.push(...(await rounds(options.repeats, n, n, (mode) => ours.profilePrefill(ids.slice(0, n), mode))));
    return rows;
  });
}

/**
 * @param {number} repeats
 * @param {number} tokens
 * @param {number} each tokens of a round
 * @param {(mode: import('./subjects.js').Mode) => Promise<Phases>} run
 * @returns {Promise<Row[]>}
 */
async function rounds(repeats, tokens, each, run) {
  /** @type {Record<'dense' | 'hsr', Phases>} */
  const sums = { dense: {}, hsr: {} };
  for (let i = 0; i < repeats; i++) {
    for (const mode of MODES)
      for (const [name, ms] of Object.entries(await run(mode))) sums[mode][name] = (sums[mode][name] ?? 0) + ms / (repeats * each);
  }
  return MODES.map((mode) => {
    const total = totalOf(sums[mode]);
    const of = (/** @type {(ms: number) => number} */ figure) =>
      Object.fromEntries(Object.entries(sums[mode]).map(([name, ms]) => [name, figure(ms)]));
    return {
      tokens,
      mode,
      ms: significant(total, 4),
      phases: of((ms) => significant(ms)),
      percent: of((ms) => round((100 * ms) / total, 1)),
    };
  });
}

/**
 * @param {SubjectOptions} options
 * @param {'decode' | 'prefill'} name
 * @param {{contexts: number[], round: number}} need
 * @param {(group: import('./subjects.js').Group) => Promise<Row[]>} measure
 */
async function profile(options, name, need, measure) {
  if (options.peers) throw badArgument('peers', 'have no phases: --profile is of ours alone', true, false);
  if ((options.threads ?? 1) !== 1) throw badArgument('threads', 'must be 1 with --profile: phases are of one thread', options.threads, 1);
  await withSubjects({ ...options, profile: true }, need, async (group) => {
    const rows = await measure(group);
    const { where } = group;
    const report = new Report(`${name}-profile`, where);
    describe(report, name, rows, options.repeats);
    await report.publish({ ...where, kv: options.kv, repeats: options.repeats, rows }, options);
  });
}

/** @param {Report} report @param {'decode' | 'prefill'} name @param {Row[]} rows @param {number} repeats */
function describe(report, name, rows, repeats) {
  const subject = name === 'decode' ? 'after so many tokens' : 'of a prompt of so many tokens';
  report.text(`ms per token ${subject}, and % of it, by phase; means of ${repeats} rounds; a build with a clock around each phase`);
  report.table(
    ['phase', ...rows.flatMap(({ tokens, mode }) => [`${tokens} ${mode}`, '%'])],
    [
      ...Object.keys(rows[0].phases).map((phase) => [phase, ...rows.flatMap((row) => [row.phases[phase], row.percent[phase]])]),
      ['all', ...rows.flatMap(({ ms }) => [ms, 100])],
    ],
  );
  for (const { tokens, mode, percent } of rows) {
    const title = `${name}, ${tokens} tokens, ${mode}: % of the time`;
    report.chart(
      title,
      barChart(
        title,
        Object.entries(percent).map(([phase, value]) => ({ name: phase, value })),
      ),
    );
  }
}
