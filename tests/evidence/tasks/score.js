/** One question, answered after a haystack by one way of attention. */
import { Context } from '../../../web/generation/context.js';
import { argmax, compareDistributions, logProbability } from '../../../web/generation/distributions.js';

/**
 * @typedef {object} Reference what dense attention answered
 * @property {Float32Array[]} logits before each token of the right answer, given those before
 * @property {number[]} greedy as many tokens, each the most probable one after its own
 *
 * @typedef {object} Answer
 * @property {number} logProbability mean over the right answer's tokens, each given the right ones before
 * @property {number} tokensRight share of them that are the most probable
 * @property {boolean} right all of them: what greedy decoding says is right
 * @property {number} kl mean over them of KL(dense || this)
 * @property {boolean} same greedy decoding says what dense attention says
 * @property {number} keysExact
 * @property {number} keysVisible
 */

/**
 * The question's tokens are decoded too, one by one by the same attention: it has to find there what the answer needs.
 * @param {import('../../../web/engine.js').Engine} engine
 * @param {{prefix?: Context, attention: import('../../../web/attention/params.js').EngineAttention}} way
 * @param {import('./question.js').Question} question
 * @param {Reference} [reference] default none: this is dense attention
 * @returns {{answer: Answer, reference: Reference}}
 */
export function askQuestion(engine, { prefix, attention }, { cue, answer }, reference) {
  const context = new Context(engine.wasm, engine.model, engine.config, {
    capacity: cue.length + answer.length,
    kv: engine.kv,
    parent: prefix,
  });
  try {
    context.setAttention(attention);
    context.resetStats();
    for (const id of cue) context.decode(id);
    const logits = answer.map((_, i) => {
      if (i > 0) context.decode(answer[i - 1]);
      return context.logits().slice();
    });
    const { keysExact, keysVisible } = context.stats();
    const tops = logits.map(argmax);
    const greedy = greedyAnswer(context, tops, answer, reference?.greedy);
    const own = reference ?? { logits, greedy };
    const mean = (/** @type {(i: number) => number} */ value) => answer.reduce((sum, _, i) => sum + value(i), 0) / answer.length;
    return {
      answer: {
        logProbability: mean((i) => logProbability(logits[i], answer[i])),
        tokensRight: mean((i) => (tops[i] === answer[i] ? 1 : 0)),
        right: tops.every((id, i) => id === answer[i]),
        kl: mean((i) => compareDistributions(own.logits[i], logits[i]).kl),
        same: greedy.every((id, i) => id === own.greedy[i]),
        keysExact,
        keysVisible,
      },
      reference: own,
    };
  } finally {
    context.release();
  }
}

/**
 * As far as greedy decoding says the right answer it was decoded already; from there on it goes its own way.
 * @param {Context} context which decoded the right answer but its last token
 * @param {number[]} tops the most probable token before each of the right answer's
 * @param {number[]} answer
 * @param {number[]} [expected] decoding ends at the first token that is another
 */
function greedyAnswer(context, tops, answer, expected) {
  const wrong = tops.findIndex((id, i) => id !== answer[i]);
  const greedy = wrong < 0 ? [...tops] : tops.slice(0, wrong + 1);
  if (wrong >= 0) context.truncate(context.length - (answer.length - 1) + wrong);
  while (greedy.length < answer.length && (expected === undefined || greedy.every((id, i) => id === expected[i]))) {
    context.decode(greedy[greedy.length - 1]);
    greedy.push(argmax(context.logits()));
  }
  return greedy;
}
