/** Other ways of choosing keys beside ours, on the same keys, at equal numbers of keys read exactly. */
import { lineChart } from '../../../web/cli/bench/chart.js';
import { percent, significant } from '../../../web/cli/numbers.js';
import { createRandom } from '../../../web/generation/sampler.js';
import { Following } from '../following.js';
import { hnswGraphs } from '../hnsw.js';
import { KeyNotes } from '../notes.js';
import * as choose from '../selectors.js';

/**
 * @typedef {import('../section.js').Section} Section
 * @typedef {import('../section.js').Setting} Setting
 * @typedef {import('../following.js').Quality} Quality
 * @typedef {import('../chosen.js').Step} Step
 * @typedef {import('../../../web/attention/params.js').EngineAttention} EngineAttention
 *
 * @typedef {object} Named
 * @property {string} name
 * @property {string} reads what it reads beside the keys that it reads exactly
 *
 * @typedef {Named & {choose?: choose.Selector, attention?: EngineAttention, budget: number}} Way one of the two
 * @typedef {Way & {keys: number, error: number, screened: number, valued: number, quality: Quality}} Row of the table; keys: read
 *   exactly per query
 */

const SIZES = {
  full: { keys: 8000, tokens: 24, looked: 2, budgets: [64, 128, 256, 512, 1351], neighbours: 16, buildEf: 100 },
  quick: { keys: 2000, tokens: 4, looked: 1, budgets: [128, 438], neighbours: 8, buildEf: 40 },
};
const SEARCH_EF = 200;
/** Values of r at which ours is looked at to find how many keys it then reads: powers of two in steps of a quarter. */
const TRIED = Array.from({ length: 33 }, (_, i) => Math.round(2 ** (4 + i / 4)));
const SCREEN = 'leaf summaries; 4 bits of {screened} of the keys';
const HSR = { denseBelow: 0, denseAbove: 1 };

/** @type {(Named & {choose: choose.Selector})[]} */
const BASELINES = [
  { name: 'window + sink', choose: choose.slidingWindow, reads: 'nothing' },
  { name: 'pages, min/max bounds (Quest)', choose: choose.pages, reads: 'two vectors for every 16 keys' },
  { name: 'uniform sample', choose: choose.sampleUniformly, reads: 'nothing' },
  { name: 'sample by hashes (MagicPIG, ideal)', choose: choose.sampleByHashes, reads: 'hash tables' },
  { name: 'sample of softmax (oracle)', choose: choose.sampleOfSoftmax, reads: 'every key' },
  { name: 'hnswlib', choose: choose.graphKeys(0), reads: 'the keys on its way, its graph' },
  { name: 'hnswlib + sink', choose: choose.graphKeys(choose.SINKS), reads: 'the keys on its way, its graph' },
  { name: 'top-r (oracle)', choose: choose.topKeys, reads: 'every key' },
];
/** Whose r is set by the budget. @type {(Named & {attention: EngineAttention})[]} */
const OWN = [
  { name: 'ours, dropped', attention: { ...HSR, farField: false }, reads: SCREEN },
  { name: 'ours, far field of means alone', attention: { ...HSR, valueTheta: 1 }, reads: SCREEN },
  { name: 'ours, far field', attention: HSR, reads: `${SCREEN}; int8 values of {valued} of them, whose estimated weight counts` },
];
const LEFT_OUT_OF_CHARTS = ['hnswlib', 'uniform sample', 'ours, far field of means alone'];

/** @param {Section} section @param {Setting} setting */
export async function run(section, setting) {
  const size = SIZES[setting.quick ? 'quick' : 'full'];
  const { keys, tokens, budgets, looked } = size;
  const following = await Following.open(setting, { keys, tokens });
  try {
    const hnsw = await hnswGraphs({ ...size, ef: SEARCH_EF });
    const heads = await Heads.of(following, keys, hnsw, setting.log);
    const reads = await ownReads(following);
    const [{ keys: least }] = reads;
    /** @type {Way[]} */
    const ways = [
      ...BASELINES.flatMap((baseline) => budgets.map((budget) => ({ ...baseline, budget }))),
      ...OWN.flatMap((own) =>
        budgets
          .filter((budget) => budget >= least)
          .map((budget) => ({ ...own, budget, attention: { ...own.attention, r: rOf(reads, budget) } })),
      ),
    ];
    const figures = await outputs(following, looked, heads, ways);
    setting.log('errors of the output');
    /** @type {Row[]} */
    const rows = [];
    for (const [w, way] of ways.entries()) {
      const { attention, choose: selector, budget } = way;
      heads.cut(keys);
      const answer = (/** @type {Step} */ step) =>
        heads.each(step, (g, head) => step.attend(g, /** @type {choose.Selector} */ (selector)(head, budget)));
      rows.push({ ...way, ...figures[w], quality: await following.quality(tokens, selector ? answer : (attention ?? {})) });
      setting.log(`${way.name}, ${budget} keys`);
    }
    describe(section, setting, { ...size, version: hnsw.version }, rows);
    says(section, rows, { keys, budgets, least });
  } finally {
    following.close();
  }
}

/** What selectors know of every KV head. */
class Heads {
  #random = createRandom(1);
  /** @type {KeyNotes[]} */
  #notes = [];
  /** @type {choose.Graph[]} */
  #graphs = [];

  /**
   * @param {Following} following
   * @param {number} keys of the prefix, of which the graphs are made
   * @param {Awaited<ReturnType<typeof hnswGraphs>>} hnsw
   * @param {(text: string) => void} log
   */
  static async of(following, keys, hnsw, log) {
    const heads = new Heads();
    await following.observe(1, (step) => {
      heads.#notes[step.index] = new KeyNotes();
      heads.#graphs[step.index] = hnsw.build(step.keys(0, keys), step.headDim);
      if (step.kvHead === 0 && step.layer % 5 === 0) log(`graphs of layer ${step.layer}`);
    });
    return heads;
  }

  /** Forgets keys that came after the prefix: other ones will. @param {number} keys */
  cut(keys) {
    for (const notes of this.#notes) notes.cut(keys);
  }

  /**
   * @param {Step} step
   * @param {(g: number, head: choose.Head) => void} use of each query head; what it is given lasts until the next one
   */
  each(step, use) {
    const [notes, graph] = [this.#notes[step.index], this.#graphs[step.index]];
    notes.update(step);
    for (let g = 0; g < step.group; g++)
      use(g, { logits: step.logits(g), query: step.query(g), scale: step.scale, notes, graph, random: this.#random });
  }
}

/**
 * Keys that ours reads exactly for each r, per KV head and so for each of its queries: means over one token.
 * @param {Following} following
 * @returns {Promise<{r: number, keys: number}[]>}
 */
async function ownReads(following) {
  const { layers, kvHeads } = following.shape;
  const reads = TRIED.map((r) => ({ r, keys: 0 }));
  await following.observe(1, (step) => {
    for (const read of reads) read.keys += step.engine({ ...HSR, r: read.r }).keysExact / (layers * kvHeads);
  });
  return reads;
}

/** The r that reads as many keys as the budget, between those tried. @param {{r: number, keys: number}[]} reads @param {number} budget */
function rOf(reads, budget) {
  const above = reads.findIndex(({ keys }) => keys > budget);
  if (above < 0) return reads[reads.length - 1].r;
  const [from, to] = [reads[above - 1], reads[above]];
  return Math.round(from.r * (to.r / from.r) ** (Math.log(budget / from.keys) / Math.log(to.keys / from.keys)));
}

/** |a - b| / |b| @param {Float32Array} a @param {Float32Array} b */
export function relativeError(a, b) {
  const square = (/** @type {(x: number, i: number) => number} */ of) => Math.sqrt(b.reduce((sum, x, i) => sum + of(x, i) ** 2, 0));
  return square((x, i) => a[i] - x) / square((x) => x);
}

/**
 * Mean relative errors of the outputs of all query heads for the queries that dense attention leads to, and the keys read.
 * @param {Following} following
 * @param {number} looked tokens
 * @param {Heads} heads
 * @param {Way[]} ways
 * @returns {Promise<{error: number, keys: number, screened: number, valued: number}[]>} of each way; the last two shares, of ours
 */
async function outputs(following, looked, heads, ways) {
  const { layers, kvHeads, group } = following.shape;
  const all = looked * layers * kvHeads * group;
  const found = ways.map(() => ({ error: 0, keys: 0, screened: 0, valued: 0 }));
  await following.observe(looked, (step) => {
    step.engine({ mode: 'dense' });
    const dense = Array.from({ length: step.group }, (_, g) => step.output(g).slice());
    for (const [w, { attention, choose: selector, budget }] of ways.entries()) {
      const figure = found[w];
      if (selector)
        heads.each(step, (g, head) => {
          const selection = selector(head, budget);
          figure.keys += selection.positions.length / all;
          figure.error += relativeError(step.attend(g, selection), dense[g]) / all;
        });
      else {
        const stats = step.engine(attention ?? {});
        figure.keys += (stats.keysExact * step.group) / all;
        figure.screened += (stats.keysScreened * step.group) / stats.keysVisible / all;
        figure.valued += (stats.valuedFraction * step.group) / all;
        for (let g = 0; g < step.group; g++) figure.error += relativeError(step.output(g), dense[g]) / all;
      }
    }
  });
  return found;
}

/**
 * @param {Section} section
 * @param {Setting} setting
 * @param {{keys: number, tokens: number, looked: number, budgets: number[], neighbours: number, buildEf: number, version: string}} size
 * @param {Row[]} rows
 */
function describe(section, setting, size, rows) {
  const { keys, tokens, looked, budgets, neighbours, buildEf, version } = size;
  section.text(
    `Each way of choosing keys has the same budget of keys that a query head reads exactly, of ${keys} keys of ` +
      `${setting.file.split('/').at(-1)} as the cache stores them. KL and top token: all layers and heads replaced for the ${tokens} tokens ` +
      `that follow, the prefix read densely, against dense attention over the same tokens. Error: |output - dense output| / |dense ` +
      `output|, mean over all heads and ${looked} of the tokens, for the queries that dense attention leads to.`,
  );
  section.text(
    `Samples take the first ${choose.SINKS} and the newest ${choose.RECENT} keys and weigh the others by their probability; hnswlib ` +
      `(hnswlib-wasm ${version}, inner product, M = ${neighbours}, efConstruction = ${buildEf}, ef = ${SEARCH_EF} or the keys asked for) ` +
      'takes all keys newer than the prefix, which its graph is of. Ours evaluates a key for all query heads that share it, and r is set ' +
      'so that these are as many as the budget.',
  );
  const names = [...new Set(rows.map(({ name }) => name))];
  const cells = (/** @type {(row: Row) => number | string} */ pick) =>
    names.map((name) => [
      name,
      ...budgets.map((budget) => {
        const row = rows.find((other) => other.name === name && other.budget === budget);
        return row ? pick(row) : '-';
      }),
    ]);
  const head = ['keys read exactly', ...budgets.map(String)];
  section.table('KL of the next token against dense attention', head, cells(({ quality }) => significant(quality.kl, 2))); // prettier-ignore
  section.table(
    'Same most probable token, %',
    head,
    cells(({ quality }) => percent(quality.top1, 1)),
  );
  section.table(
    'Error of the output of attention, %',
    head,
    cells(({ error }) => percent(error, error < 0.01 ? 2 : 1)),
  );
  section.table(
    'Keys that were really read, mean',
    head,
    cells((row) => Math.round(row.keys)),
  );
  section.table(
    'What each reads besides',
    ['way', 'reads'],
    names.map((name) => [name, readsOf(rows.filter((row) => row.name === name))]),
  );
  const charted = (/** @type {(row: Row) => number} */ pick) =>
    names
      .filter((name) => !LEFT_OUT_OF_CHARTS.includes(name))
      .map((name) => ({
        name,
        points: rows
          .filter((row) => row.name === name)
          .map((row) => /** @type {[number, number]} */ ([row.budget, Math.max(pick(row), 1e-7)])),
      }));
  const axis = 'keys read exactly per query';
  section.chart(
    'KL by keys read',
    lineChart(
      'KL against dense attention',
      { x: axis, y: 'KL' },
      charted(({ quality }) => quality.kl),
    ),
  );
  section.chart(
    'Error by keys read',
    lineChart(
      'Relative error of the output',
      { x: axis, y: 'error' },
      charted(({ error }) => error),
    ),
  );
}

/** @param {Row[]} rows of one way */
function readsOf(rows) {
  const [{ reads }] = rows;
  const range = (/** @type {(row: Row) => number} */ pick) => {
    const shares = rows.map(pick);
    return `${percent(Math.min(...shares), 0)} to ${percent(Math.max(...shares), 0)} %`;
  };
  return reads.replace('{screened}', range(({ screened }) => screened)).replace('{valued}', range(({ valued }) => valued)); // prettier-ignore
}

/**
 * @param {Section} section
 * @param {Row[]} rows
 * @param {{keys: number, budgets: number[], least: number}} size least: keys that ours always reads
 */
function says(section, rows, { keys, budgets, least }) {
  const small = budgets.filter((budget) => budget < least);
  if (small.length > 0)
    section.says(
      `Ours always reads its sink and its window, ${Math.round(least)} keys here: it has no answer at ${small.join(', ')} keys per query, where ` +
        `${best(rows, small[small.length - 1])}.`,
    );
  for (const own of OWN.map(({ name }) => name)) {
    const beaten = rows
      .filter(({ name }) => name === own)
      .flatMap((ours) => {
        const better = rows.filter(({ name, budget, quality }) => budget === ours.budget && isOther(name) && quality.kl < ours.quality.kl);
        if (better.length === 0) return [];
        const named = better.map(({ name, quality }) => `${name} ${significant(quality.kl, 2)}`).join(', ');
        return [`at ${ours.budget} keys (${significant(ours.quality.kl, 2)}) by ${named}`];
      });
    if (beaten.length > 0) section.says(`In KL at equal keys read exactly, "${own}" is beaten ${beaten.join('; ')}.`);
  }
  const last = /** @type {Row} */ (rows.findLast(({ name }) => name === 'ours, far field'));
  section.says(
    `Equal keys read exactly are not equal bytes: at ${last.budget} of ${keys} keys ours also screens ${percent(last.screened, 0)} % of all keys in ` +
      `4 bits and gives ${percent(last.valued, 0)} % their own values, which a window or a uniform sample do without.`,
  );
}

/** @param {string} name */
const isOther = (name) => OWN.every((own) => own.name !== name);

/** The best of the others. @param {Row[]} rows @param {number} budget */
function best(rows, budget) {
  const { name, quality } = rows.filter((row) => row.budget === budget).reduce((a, b) => (b.quality.kl < a.quality.kl ? b : a));
  return `${name} has KL ${significant(quality.kl, 2)}`;
}
