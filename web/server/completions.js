/** Answers to /v1/chat/completions and /v1/completions, whole or as a stream of chunks. */
import { randomUUID } from 'node:crypto';

import { HalfspaceError } from '../errors.js';
import { EventStream, sendJson } from './http.js';

/**
 * @typedef {import('./request.js').Job} Job
 *
 * @typedef {object} Server
 * @property {import('../engine.js').Engine} engine
 * @property {string} model the name it goes by
 * @property {import('../engine.js').Attention} attention
 * @property {import('./prefix-cache.js').PrefixCache} cache
 * @property {import('./saved-prefixes.js').SavedPrefixes} [saved]
 */

/** How each kind writes a whole answer, and a piece of one. */
const FORMS = {
  chat: {
    id: 'chatcmpl',
    object: 'chat.completion',
    chunk: 'chat.completion.chunk',
    /** @param {string} content */
    whole: (content) => ({ message: { role: 'assistant', content, refusal: null } }),
    /** @param {string} content */
    part: (content) => ({ delta: content === '' ? {} : { content } }),
    first: { delta: { role: 'assistant', content: '' } },
  },
  text: {
    id: 'cmpl',
    object: 'text_completion',
    chunk: 'text_completion',
    /** @param {string} text */
    whole: (text) => ({ text }),
    /** @param {string} text */
    part: (text) => ({ text }),
    first: null,
  },
};

/**
 * @typedef {{signal: AbortSignal, onPrefill?: (done: number, total: number) => void, onText?: (text: string) => Promise<void>}} Handlers
 */

/**
 * Generates the answer, after a prefix of the prompt.
 * @param {Server} server
 * @param {Job} job
 * @param {Handlers} handlers
 * @param {{held?: import('../engine.js').Prefix, resumed?: import('../engine.js').Prefix}} start resumed: the cache gets it
 *   afterwards, with the answer
 */
async function attempt({ engine, attention, cache }, job, { signal, onPrefill, onText }, { held, resumed }) {
  const { ids, maxTokens, sampler, stop } = job;
  const prefix = resumed ?? held;
  const cached = prefix?.length ?? 0;
  const left = resumed ? [resumed] : [];
  /** @type {import('../engine.js').GenerateStats | undefined} */
  let stats;
  let text = '';
  try {
    const pieces = engine.generate(ids.slice(cached), {
      ...{ prefix, maxTokens, sampler, stop, attention, signal, onPrefill },
      onStats: (s) => (stats = s),
      onPrefix: (made) => left.push(made),
    });
    for await (const piece of pieces) {
      text += piece.text;
      await onText?.(piece.text);
    }
  } finally {
    for (const one of left) cache.add(one);
  }
  const { generatedTokens, finishReason } = /** @type {import('../engine.js').GenerateStats} */ (stats);
  const usage = {
    prompt_tokens: ids.length,
    completion_tokens: generatedTokens,
    total_tokens: ids.length + generatedTokens,
    prompt_tokens_details: { cached_tokens: cached },
  };
  return { text, finishReason, usage };
}

/**
 * What is held or saved of a prompt: that which has more of it.
 * @param {Server} server
 * @param {number[]} ids
 * @param {AbortSignal} signal
 */
async function findStart({ cache, saved }, ids, signal) {
  const resumed = await saved?.resume(ids, cache.longest(ids), signal);
  return resumed ? { resumed } : { held: cache.take(ids) };
}

/**
 * Generates the answer, after what is held or saved of the prompt. Where memory is short, nothing else is held; where it is short
 * even then, nothing is resumed.
 * @param {Server} server
 * @param {Job} job
 * @param {Handlers} handlers
 */
async function answer(server, job, handlers) {
  const { cache, saved } = server;
  for (let retries = saved ? 2 : 1; ; retries--) {
    try {
      return await attempt(server, job, handlers, retries > 0 ? await findStart(server, job.ids, handlers.signal) : {});
    } catch (error) {
      const isShort = error instanceof HalfspaceError && error.code === 'out-of-memory';
      if (!isShort || retries === 0) throw error;
      cache.clear();
      await saved?.flush();
    }
  }
}

/**
 * @param {Server} server
 * @param {Job} job
 * @param {import('./http.js').Response} response
 * @param {AbortSignal} signal
 */
export async function complete(server, job, response, signal) {
  const form = FORMS[job.kind];
  const head = { id: `${form.id}-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: server.model };
  /** @param {object} choice @param {string | null} [finish] */
  const choices = (choice, finish = null) => [{ index: 0, ...choice, logprobs: null, finish_reason: finish }];
  if (!job.stream) {
    const { text, finishReason, usage } = await answer(server, job, { signal });
    sendJson(response, 200, { ...head, object: form.object, choices: choices(form.whole(text), finishReason), usage });
    return;
  }

  const stream = new EventStream(response, signal);
  /** @param {object[]} list @param {object | null} [usage] */
  const send = (list, usage = null) => stream.send({ ...head, object: form.chunk, choices: list, ...(job.includeUsage && { usage }) });
  let begun = false;
  const begin = async () => {
    if (!begun && form.first) await send(choices(form.first));
    begun = true;
  };
  const onPrefill = (/** @type {number} */ done, /** @type {number} */ total) => {
    stream.open();
    if (done < total) stream.comment(`${done} of ${total} tokens of the prompt read`);
  };
  const onText = async (/** @type {string} */ text) => {
    await begin();
    if (text !== '') await send(choices(form.part(text)));
  };
  const { finishReason, usage } = await answer(server, job, { signal, onPrefill, onText });
  await begin();
  await send(choices(form.part(''), finishReason));
  if (job.includeUsage) await send([], usage);
  stream.done();
}
