/** `bench prefill`: how fast prompts of several lengths are read, exactly, by Algorithm 2, and by peers, in turn. */
import { checkInteger } from '../../checks.js';
import { significant } from '../numbers.js';
import { lineChart } from './chart.js';
import { besideHogs } from './hogs.js';
import { profilePrefill } from './profile.js';
import { ratioOf, spread, timesOf } from './ratios.js';
import { Report } from './report.js';
import { withSubjects } from './subjects.js';

/**
 * @typedef {import('./subjects.js').Group} Group
 * @typedef {{tokens: number, tokensPerSecond: Record<string, {median: number, max: number}>,
 *   ratios: Record<string, import('./ratios.js').Ratio>, ratiosToHsr: Record<string, import('./ratios.js').Ratio>}} Row ratios: of
 *   the time to that of exact, and of hsr
 */

const LENGTHS = [512, 8000];

/** @param {import('./subjects.js').SubjectOptions & {lengths?: number[]}} options */
export async function prefill(options) {
  const lengths = (options.lengths ?? LENGTHS).map((n) => checkInteger('lengths', n, 1, 2 ** 20)).toSorted((a, b) => a - b);
  if (options.profile) return profilePrefill(options, lengths);
  await withSubjects(options, { contexts: lengths, round: 0 }, async (group) => {
    const rows = [];
    await warmUp(group, lengths[0]);
    for (const n of lengths) rows.push(await measure(group, n, options));
    const { where } = group;
    const report = new Report('prefill', where);
    describe(report, rows, options);
    await report.publish({ ...where, kv: options.kv, hog: options.hog, repeats: options.repeats, rows }, options);
  });
}

/** Tokens of a prompt that is not counted: compiled code gets faster at first. */
const WARM_UP = 64;

/** @param {Group} group @param {number} shortest */
async function warmUp({ ours, peers, ids }, shortest) {
  for (const subject of [ours, ...peers]) {
    await subject.reset();
    await subject.prefill(ids.slice(0, Math.min(WARM_UP, shortest)), 'dense');
  }
}

/** @param {Group} group @param {number} n @param {import('./subjects.js').SubjectOptions} options @returns {Promise<Row>} */
async function measure({ ours, peers, ids }, n, { repeats, hog }) {
  const prompt = ids.slice(0, n);
  const ways = [
    { name: 'exact', subject: ours, mode: /** @type {const} */ ('dense') },
    { name: 'hsr', subject: ours, mode: /** @type {const} */ ('hsr') },
    ...peers.filter(({ most }) => n <= most).map((subject) => ({ name: subject.name, subject, mode: undefined })),
  ];
  /** @type {Record<string, number[]>} */
  const times = Object.fromEntries(ways.map(({ name }) => [name, []]));
  const rounds = async () => {
    for (let i = 0; i < repeats; i++) {
      for (const { name, subject, mode } of ways) {
        await subject.reset();
        times[name].push(await subject.prefill(prompt, mode));
      }
    }
  };
  await besideHogs(hog, rounds);
  const speed = (/** @type {number} */ ms) => significant((1000 * n) / ms, 4);
  return {
    tokens: n,
    tokensPerSecond: Object.fromEntries(
      Object.entries(timesOf(times)).map(([name, { median, min }]) => [name, { median: speed(median), max: speed(min) }]),
    ),
    ratios: Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, ratioOf(ms, times.exact)])),
    ratiosToHsr: Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, ratioOf(ms, times.hsr)])),
  };
}

/** @param {Report} report @param {Row[]} rows @param {import('./subjects.js').SubjectOptions} options */
function describe(report, rows, { repeats, hog }) {
  if (hog > 0) report.text(`beside ${hog} busy process(es)`);
  report.text(
    `Tokens per second: median and most of ${repeats} rounds, all in turn; time as a ratio to exact, and to hsr: median (least..most) of rounds`,
  );
  report.table(
    ['tokens', 'prefill', 'median', 'max', 'time/exact', 'time/hsr'],
    rows.flatMap(({ tokens, tokensPerSecond, ratios, ratiosToHsr }) =>
      Object.entries(tokensPerSecond).map(([name, { median, max }]) => [
        tokens,
        name,
        median,
        max,
        name === 'exact' ? '' : spread(ratios[name]),
        name === 'hsr' ? '' : spread(ratiosToHsr[name]),
      ]),
    ),
  );
  const names = [...new Set(rows.flatMap(({ tokensPerSecond }) => Object.keys(tokensPerSecond)))];
  report.chart(
    'Prefill',
    lineChart(
      'Prefill speed over the length of the prompt',
      { x: 'tokens', y: 'tokens per second' },
      names.map((name) => ({
        name,
        points: rows
          .filter(({ tokensPerSecond }) => name in tokensPerSecond)
          .map(({ tokens, tokensPerSecond }) => [tokens, tokensPerSecond[name].median]),
      })),
    ),
  );
}
