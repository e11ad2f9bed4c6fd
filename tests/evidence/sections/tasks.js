/** Tasks beyond perplexity: what a model finds in a long text, by each way of attention. */
import { Context } from '../../../web/generation/context.js';
import { nextTurn } from '../../../web/generation/next-turn.js';
import { readText } from '../../../web/cli/common.js';
import { Engine } from '../../../web/index.js';
import { createRandom } from '../../../web/generation/sampler.js';
import { allTasks } from '../tasks/index.js';
import { sentencesOf } from '../tasks/haystack.js';
import { shuffled } from '../tasks/question.js';
import { DENSE, describe, NO_DOCUMENT } from '../tasks/report.js';
import { askQuestion } from '../tasks/score.js';

/**
 * @typedef {import('../../../web/attention/params.js').EngineAttention} EngineAttention
 * @typedef {import('../tasks/question.js').Question} Question
 * @typedef {import('../tasks/report.js').Result} Result
 *
 * @typedef {object} Sizes
 * @property {{length: number, read: 'both' | 'hsr', rope?: import('../../../web/model/config.js').RopeOptions}[]} contexts tokens of each
 *   haystack; hsr: it is read by Algorithm 2 alone, both: exactly, and once more by Algorithm 2
 * @property {Omit<import('../tasks/index.js').Counts, 'votes'>} counts
 * @property {number} tokensPerVote what someone bought is said as often as the haystack has so many tokens
 * @property {number} exact tokens of each task that exact attention decodes, as it is slow: the first questions that they are enough for
 * @property {number} certified the same of certified attention, a second for each token at 8000
 * @property {number} slowUpTo tokens of the context in which certified attention and exact attention with the least keys take part
 *
 * @typedef {object} Way
 * @property {string} name
 * @property {EngineAttention} attention
 * @property {'exact' | 'hsr' | 'none'} after how the haystack was read, or none of it
 * @property {number} most tokens of each task that it decodes
 */

const SEED = 2404;

/** @type {Sizes} */
const FULL = {
  contexts: [
    { length: 2048, read: 'both' },
    { length: 4096, read: 'both' },
    { length: 8000, read: 'both' },
    { length: 16_000, read: 'hsr', rope: { scaling: 'yarn', factor: 2 } },
  ],
  counts: { needles: 10, several: 2, chains: 3, people: 12, passages: 8 },
  tokensPerVote: 256,
  exact: 80,
  certified: 25,
  slowUpTo: 8000,
};

/** @type {Sizes} */
const QUICK = {
  contexts: [{ length: 2048, read: 'hsr' }],
  counts: { needles: 5, several: 1, chains: 1, people: 5, passages: 3 },
  tokensPerVote: 256,
  exact: 30,
  certified: 15,
  slowUpTo: 2048,
};

/** @param {import('../section.js').Section} section @param {import('../section.js').Setting} setting */
export async function run(section, setting) {
  const sizes = setting.quick ? QUICK : FULL;
  describe(section, await ask(setting, sizes), sizes);
}

/**
 * Every question in every context and way.
 * @param {import('../section.js').Setting} setting
 * @param {Sizes} [sizes]
 */
export async function ask({ file, model, variant, log }, sizes = FULL) {
  let sentences = sentencesOf(await readText(file));
  /** @type {Result[]} */
  const results = [];
  for (const { length, read, rope } of sizes.contexts) {
    const engine = await Engine.load(model, { variant, rope });
    try {
      const encode = (/** @type {string} */ text) => engine.tokenize(text, { addSpecial: false });
      const counts = { ...sizes.counts, votes: Math.floor(length / sizes.tokensPerVote) };
      const random = createRandom(SEED + length);
      const { haystack, questions } = allTasks(encode, random, sentences, length, counts);
      sentences = sentences.slice(haystack.used); // each context goes on where the one before ended
      const where = rope === undefined ? `${length}` : `${length} (${rope.scaling} ${rope.factor})`;
      log(`${where}: ${questions.length} questions, ${haystack.placed.length} planted sentences`);
      // In any order: the first ones, which are all that the slow ways take, are of every depth.
      const answers = await answerAll(engine, haystack.ids, shuffled(random, questions), waysOf(length, read, sizes), log);
      results.push(...answers.map((answer) => ({ where, length, ...answer })));
    } finally {
      engine.close();
    }
  }
  return results;
}

/**
 * Dense first: the others are compared with it. Each is what its name says, however short the context; the default alone may fall
 * back to dense.
 * @param {number} n
 * @param {'both' | 'hsr'} read
 * @param {Sizes} sizes
 * @returns {Way[]}
 */
function waysOf(n, read, { exact, certified, slowUpTo }) {
  const named = { denseBelow: 0, denseAbove: 1 };
  const after = read === 'both' ? 'exact' : 'hsr';
  const all = Infinity;
  /** @type {Way[]} */
  const ways = [
    { name: DENSE, after, attention: { mode: 'dense' }, most: all },
    { name: 'fast (default)', after, attention: {}, most: all },
    { name: 'fast after hsr prefill', after: 'hsr', attention: {}, most: read === 'both' ? all : 0 },
    { name: 'fast, no far field', after, attention: { ...named, farField: false }, most: all },
    { name: 'exact r = n^0.8', after, attention: { ...named, strength: 'exact', r: Math.ceil(n ** 0.8) }, most: exact },
    { name: 'exact r = 64', after, attention: { ...named, strength: 'exact', r: 64 }, most: n <= slowUpTo ? exact : 0 },
    { name: 'certified 0.1', after, attention: { ...named, strength: 'certified', eps: 0.1 }, most: n <= slowUpTo ? certified : 0 },
    { name: NO_DOCUMENT, after: 'none', attention: { mode: 'dense' }, most: all },
  ];
  return ways.filter(({ most }) => most > 0);
}

/**
 * @param {Engine} engine
 * @param {number[]} ids of the haystack
 * @param {Question[]} questions
 * @param {Way[]} ways
 * @param {(text: string) => void} log
 */
async function answerAll(engine, ids, questions, ways, log) {
  /** @type {Map<Way['after'], Context | undefined>} */
  const prefixes = new Map([['none', undefined]]);
  for (const { after } of ways) {
    if (prefixes.has(after)) continue;
    prefixes.set(after, await prefilled(engine, ids, after === 'hsr' ? { prefill: 'hsr' } : { mode: 'dense' }));
    log(`${ids.length} tokens read (${after})`);
  }
  /** @type {Map<string, number>} */
  const tokens = new Map();
  const results = [];
  for (const [i, question] of questions.entries()) {
    const { task, cue, answer } = question;
    tokens.set(task, (tokens.get(task) ?? 0) + cue.length + answer.length - 1);
    const taking = ways.filter(({ most }) => Number(tokens.get(task)) <= most);
    results.push(...answersOf(engine, prefixes, question, taking));
    if (i % 10 === 9) log(`${i + 1} questions`);
    await nextTurn();
  }
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
async function prefilled(engine, ids, attention) {
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: ids.length, kv: engine.kv });
  context.setAttention(attention);
  await context.prefill(ids, { logits: 'none' });
  return context;
}
