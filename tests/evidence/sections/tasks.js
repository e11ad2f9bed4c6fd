/** Tasks beyond perplexity: what a model finds in a long text, by each way of attention. */
import { Context } from '../../../web/context.js';
import { readText } from '../../../web/cli/common.js';
import { Engine } from '../../../web/index.js';
import { createRandom } from '../../../web/sampler.js';
import { allTasks } from '../tasks/index.js';
import { sentencesOf } from '../tasks/haystack.js';
import { describe } from '../tasks/report.js';
import { askQuestion } from '../tasks/score.js';

/**
 * @typedef {import('../../../web/attention-params.js').EngineAttention} EngineAttention
 * @typedef {import('../tasks/question.js').Question} Question
 * @typedef {import('../tasks/report.js').Result} Result
 *
 * @typedef {object} Sizes
 * @property {{length: number, rope?: import('../../../web/config.js').RopeOptions}[]} contexts tokens of each haystack
 * @property {Omit<import('../tasks/index.js').Counts, 'votes'>} counts
 * @property {number} tokensPerVote what someone bought is said as often as the haystack has so many tokens
 * @property {boolean} prefillHsr the haystack is read by Algorithm 2 alone, instead of exactly, and once more by Algorithm 2
 * @property {number} certified questions of each task, as it is slow: about a second for each token at 8000
 * @property {number} certifiedUpTo tokens
 *
 * @typedef {object} Way
 * @property {string} name
 * @property {EngineAttention} attention
 * @property {'exact' | 'hsr' | 'none'} after how the haystack was read, or none of it
 * @property {number} most questions of each task
 */

const DENSE = 'dense';
const NO_DOCUMENT = 'no document';
const SEED = 2404;

/** @type {Sizes} */
const FULL = {
  contexts: [{ length: 2048 }, { length: 4096 }, { length: 8000 }, { length: 16_000, rope: { scaling: 'yarn', factor: 2 } }],
  counts: { needles: 10, several: 2, chains: 3, people: 12, passages: 8 },
  tokensPerVote: 256,
  prefillHsr: false,
  certified: 1,
  certifiedUpTo: 8000,
};

/** @type {Sizes} */
const QUICK = {
  contexts: [{ length: 2048 }],
  counts: { needles: 5, several: 1, chains: 1, people: 5, passages: 3 },
  tokensPerVote: 256,
  prefillHsr: true,
  certified: 1,
  certifiedUpTo: 2048,
};

/** @param {import('../section.js').Section} section @param {import('../section.js').Setting} setting */
export const run = (section, setting) => runTasks(section, setting, setting.quick ? QUICK : FULL);

/**
 * @param {import('../section.js').Section} section
 * @param {import('../section.js').Setting} setting
 * @param {Sizes} sizes
 */
export async function runTasks(section, setting, sizes) {
  let sentences = sentencesOf(await readText(setting.file));
  /** @type {Result[]} */
  const results = [];
  for (const { length, rope } of sizes.contexts) {
    const engine = await Engine.load(setting.model, { variant: setting.variant, rope });
    try {
      const encode = (/** @type {string} */ text) => engine.tokenize(text, { addSpecial: false });
      const counts = { ...sizes.counts, votes: Math.floor(length / sizes.tokensPerVote) };
      const { haystack, questions } = allTasks(encode, createRandom(SEED + length), sentences, length, counts);
      sentences = sentences.slice(haystack.used); // each context goes on where the one before ended
      const where = rope === undefined ? `${length}` : `${length} (${rope.scaling} ${rope.factor})`;
      setting.log(`${where}: ${questions.length} questions, ${haystack.placed.length} planted sentences`);
      results.push(...(await answers(engine, haystack.ids, questions, waysOf(length, sizes), setting.log)).map((result) => ({ where, length, ...result }))); // prettier-ignore
    } finally {
      engine.close();
    }
  }
  describe(section, results, sizes);
}

/**
 * Dense first: the others are compared with it. Each is what its name says, however short the context; the default alone may fall
 * back to dense.
 * @param {number} n
 * @param {Sizes} sizes
 * @returns {Way[]}
 */
function waysOf(n, { prefillHsr, certified, certifiedUpTo }) {
  const named = { denseBelow: 0, denseAbove: 1 };
  const read = prefillHsr ? 'hsr' : 'exact';
  /** @type {Way[]} */
  const ways = [
    { name: DENSE, after: read, attention: { mode: 'dense' }, most: Infinity },
    { name: 'fast (default)', after: read, attention: {}, most: Infinity },
    { name: 'fast, no far field', after: read, attention: { ...named, farField: false }, most: Infinity },
    { name: 'exact r = n^0.8', after: read, attention: { ...named, strength: 'exact', r: Math.ceil(n ** 0.8) }, most: Infinity },
    { name: 'exact r = 64', after: read, attention: { ...named, strength: 'exact', r: 64 }, most: Infinity },
    {
      name: 'certified 0.1',
      after: read,
      attention: { ...named, strength: 'certified', eps: 0.1 },
      most: n <= certifiedUpTo ? certified : 0,
    },
    { name: NO_DOCUMENT, after: 'none', attention: { mode: 'dense' }, most: Infinity },
  ];
  if (!prefillHsr) ways.splice(2, 0, { name: 'fast after hsr prefill', after: 'hsr', attention: {}, most: Infinity });
  return ways;
}

/**
 * @param {Engine} engine
 * @param {number[]} ids of the haystack
 * @param {Question[]} questions
 * @param {Way[]} ways
 * @param {(text: string) => void} log
 */
async function answers(engine, ids, questions, ways, log) {
  /** @type {Map<Way['after'], Context | undefined>} */
  const prefixes = new Map([['none', undefined]]);
  for (const { after } of ways) {
    if (prefixes.has(after)) continue;
    const began = performance.now();
    prefixes.set(after, await read(engine, ids, after === 'hsr' ? { prefill: 'hsr' } : { mode: 'dense' }));
    log(`${ids.length} tokens read (${after}) in ${Math.round((performance.now() - began) / 1000)} s`);
  }
  /** @type {Map<string, number>} */
  const asked = new Map();
  const results = questions.flatMap((question) => {
    const before = asked.get(question.task) ?? 0;
    asked.set(question.task, before + 1);
    const taking = ways.filter(({ most }) => before < most);
    return answersOf(engine, prefixes, question, taking);
  });
  for (const prefix of prefixes.values()) prefix?.release();
  return results;
}

/**
 * @param {Engine} engine
 * @param {Map<Way['after'], Context | undefined>} prefixes
 * @param {Question} question
 * @param {Way[]} ways dense first
 */
function answersOf(engine, prefixes, question, [dense, ...others]) {
  const ask = (/** @type {Way} */ { after, attention }, /** @type {import('../tasks/score.js').Reference} */ reference) =>
    askQuestion(engine, { prefix: prefixes.get(after), attention }, question, reference);
  const first = askQuestion(engine, { prefix: prefixes.get(dense.after), attention: dense.attention }, question);
  const all = [{ way: dense.name, answer: first.answer }];
  for (const way of others) all.push({ way: way.name, answer: ask(way, first.reference).answer });
  const { task, depth } = question;
  return all.map(({ way, answer }) => ({ task, depth, way, answer, dense: first.answer }));
}

/** @param {Engine} engine @param {number[]} ids @param {EngineAttention} attention */
async function read(engine, ids, attention) {
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: ids.length, kv: engine.kv });
  context.setAttention(attention);
  await context.prefill(ids, { logits: 'none' });
  return context;
}
