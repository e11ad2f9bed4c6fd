/** Dense attention and another decode the same tokens in turn. What Engine.compare() does once its arguments are checked. */
import { throwIfAborted } from '../abort.js';
import { elapsedSince } from '../elapsed.js';
import { AnswerText } from './answer-text.js';
import { argmax, compareDistributions } from './distributions.js';
import { nextTurn } from './next-turn.js';

/**
 * @typedef {object} CompareOptions what compare() takes
 * @property {number} [maxTokens] tokens to decode at most, default 32
 * @property {number[]} [follow] ids of the tokens to decode; default those that dense attention finds most probable, up to an end token
 * @property {import('../engine.js').Attention} [attention] what is compared with dense; default hsr
 * @property {import('./prefix.js').Prefix} [prefix] the prompt comes after it
 * @property {number} [ctx] tokens that prefix, prompt and continuation may have, default the engine's
 * @property {(done: number, total: number) => void} [onPrefill] called with the prompt's tokens that are read, and all of them
 * @property {AbortSignal} [signal] ends it with 'aborted'
 *
 * @typedef {object} Compared one token, and the two decode steps that it came from
 * @property {number} index of the token, from 0
 * @property {number} id of the token that both decoded
 * @property {string} text may be empty, as in generate()
 * @property {number} chosen id that the other attention finds most probable
 * @property {string} chosenText of this token alone
 * @property {boolean} same whether dense attention finds the same one most probable
 * @property {number} msDense milliseconds that dense attention's step took
 * @property {number} ms of the other's
 * @property {number} kl KL(dense || other) of the two distributions, in nats
 * @property {import('../attention/params.js').AttentionStats} stats of the other's step
 */

/** @param {import('./context.js').Context} context @param {number} id @returns {number} ms */
function timed(context, id) {
  const start = performance.now();
  context.decode(id);
  return elapsedSince(start);
}

/**
 * Which goes first changes with every token: what one leaves in the processor's caches helps the other as often as not.
 * @param {{dense: import('./context.js').Context, other: import('./context.js').Context}} contexts
 * @param {number} id
 * @param {number} index
 */
function decodeBoth({ dense, other }, id, index) {
  const ms = new Map();
  const logits = new Map();
  other.resetStats();
  for (const context of index % 2 === 0 ? [dense, other] : [other, dense]) {
    ms.set(context, timed(context, id));
    logits.set(context, context.logits().slice());
  }
  const [reference, own] = [logits.get(dense), logits.get(other)];
  const { kl, sameTop: same } = compareDistributions(reference, own);
  return { top: argmax(reference), chosen: argmax(own), same, kl, msDense: ms.get(dense), ms: ms.get(other), stats: other.stats() };
}

/**
 * @param {{dense: import('./context.js').Context, other: import('./context.js').Context}} contexts both continue what was read up to
 *   the prompt's last token
 * @param {import('../tokenizer/tokenizer.js').Tokenizer} tokenizer
 * @param {{last: number, steps: number, follow?: number[], check: () => void, signal?: AbortSignal}} run last: the prompt's last token;
 *   check throws when the engine was closed meanwhile
 * @returns {AsyncGenerator<Compared, void>}
 */
export async function* runComparison(contexts, tokenizer, { last, steps, follow, check, signal }) {
  const text = new AnswerText(tokenizer.decodeStream(), []);
  let id = last;
  for (let index = 0; index < steps; index++) {
    await nextTurn();
    check();
    throwIfAborted(signal);
    const { top, ...compared } = decodeBoth(contexts, id, index);
    id = follow ? follow[index] : top;
    if (!follow && tokenizer.eosIds.has(id)) return;
    const shown = text.push(id) + (index === steps - 1 ? text.end() : '');
    yield { index, id, text: shown, chosenText: tokenizer.decodeStream().push(compared.chosen), ...compared };
  }
}
