/** How probable a model finds the end of a text. What Engine.perplexity() does once its arguments are checked. */
import { throwIfAborted } from '../abort.js';
import { compareDistributions, logProbability } from './distributions.js';
import { nextTurn } from './next-turn.js';

/**
 * @param {{context: import('./context.js').Context, reference?: import('./context.js').Context}} contexts both continue what was read up
 *   to the first of the ids; reference: with dense attention, to compare each distribution with
 * @param {number[]} ids two or more: all but the last are decoded, all but the first count
 * @param {AbortSignal | undefined} signal
 */
export async function runPerplexity({ context, reference }, ids, signal) {
  const tokens = ids.length - 1;
  let [loss, kl, agree] = [0, 0, 0];
  context.resetStats();
  for (let i = 0; i < tokens; i++) {
    throwIfAborted(signal);
    context.decode(ids[i]);
    const logits = reference ? context.logits().slice() : context.logits();
    loss -= logProbability(logits, ids[i + 1]);
    if (reference) {
      reference.decode(ids[i]);
      const compared = compareDistributions(reference.logits(), logits);
      kl += compared.kl;
      agree += compared.sameTop ? 1 : 0;
    }
    await nextTurn();
  }
  return {
    ppl: Math.exp(loss / tokens),
    tokens,
    ...(reference && { kl: kl / tokens, top1Agreement: agree / tokens }),
    attention: context.stats(),
  };
}
