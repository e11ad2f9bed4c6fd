/** Reads a prompt, then samples and decodes token by token. What Engine.generate() does once its arguments are checked. */
import { throwIfAborted } from '../abort.js';
import { addStatsWords, attentionStats } from '../attention/params.js';
import { elapsedSince } from '../elapsed.js';
import { AnswerText } from './answer-text.js';
import { nextTurn } from './next-turn.js';

/**
 * @param {import('./context.js').Context} context with room for the prompt and `steps` tokens
 * @param {import('../tokenizer/tokenizer.js').Tokenizer} tokenizer
 * @param {object} run
 * @param {number[]} run.held tokens that the context continues
 * @param {number[]} run.prompt
 * @param {number} run.steps most tokens to generate
 * @param {import('./sampler.js').Sampler} run.sampler
 * @param {() => void} run.check throws when the engine was closed meanwhile
 * @param {import('../engine.js').GenerateOptions} options
 * @returns {AsyncGenerator<import('../engine.js').Piece, import('../engine.js').GenerateStats>}
 */
export async function* runGeneration(context, tokenizer, { held, prompt, steps, sampler, check }, options) {
  const { stop = [], signal, attention = 'hsr', watch = false } = options;
  const tokens = held.concat(prompt);
  const text = new AnswerText(tokenizer.decodeStream(), stop);
  /** @type {number[]} */
  const decodeMs = [];
  context.setAttention(attention);
  const start = performance.now();
  const logits = await context.prefill(prompt, { onBatch: options.onPrefill, signal });
  const prefillMs = elapsedSince(start);
  if (watch) context.watch(watch === true ? {} : watch);
  context.resetStats();
  let done = context.statsWords();
  /** @type {import('../engine.js').Step | undefined} */
  let step;
  let ended = false;
  for (let index = 0; index < steps; index++) {
    throwIfAborted(signal);
    const id = sampler.sample(logits, tokens);
    const isEnd = tokenizer.eosIds.has(id);
    const last = isEnd || index === steps - 1;
    if (!isEnd) tokens.push(id);
    const shown = (isEnd ? '' : text.push(id)) + (last ? text.end() : '');
    ended = isEnd || text.stopped;
    if (!isEnd || shown !== '') yield { id, text: shown, index, ...(step && { step }) };
    await nextTurn();
    check();
    if (last || ended) break;
    if (watch) {
      done = addStatsWords(done, context.statsWords());
      context.resetStats();
      step = { stats: (layer, kvHead) => context.stats(layer, kvHead), reported: (layer, kvHead) => context.reported(layer, kvHead) };
    }
    const began = performance.now();
    context.decode(id);
    decodeMs.push(elapsedSince(began));
    logits.set(context.logits());
  }
  const promptTokens = held.length + prompt.length;
  return {
    promptTokens,
    generatedTokens: tokens.length - promptTokens,
    finishReason: ended ? 'stop' : 'length',
    prefillMs,
    decodeMs,
    mode: typeof attention === 'string' ? attention : (attention.mode ?? 'hsr'),
    attention: attentionStats(addStatsWords(done, context.statsWords())),
  };
}
