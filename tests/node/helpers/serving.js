/** A server on a tiny model, OpenAI's client of it, and what tests ask of both. */
import assert from 'node:assert/strict';

import OpenAI from 'openai';

import { Server } from '../../../web/server/server.js';
import { randomModel } from './random-model.js';

export const MODEL = 'tiny';
const TEMPLATE =
  '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}' +
  "{% if messages[0].content == 'refuse' %}{{ raise_exception('it was told to refuse') }}{% endif %}";

/** A model that answers with letters. @param {Record<string, unknown>} [metadata] */
export const chatModel = (metadata = {}) =>
  randomModel({
    arch: 'llama',
    tied: false,
    printable: true,
    metadata: { context_length: 4096, ...metadata },
    keys: { 'tokenizer.chat_template': TEMPLATE, 'tokenizer.ggml.add_space_prefix': false },
  });

/**
 * Runs a test against a server of its own, after which the engine holds nothing.
 * @param {import('../../../web/engine.js').Engine} engine
 * @param {Partial<import('../../../web/server/server.js').ServerOptions>} options
 * @param {(client: OpenAI, server: Server) => Promise<void>} body
 */
export async function servingOn(engine, options, body, key = 'any') {
  const used = engine.info.memoryBytes;
  const server = await Server.start(engine, { model: MODEL, port: 0, onError: (error) => assert.fail(String(error)), ...options });
  try {
    await body(new OpenAI({ apiKey: key, baseURL: `${server.url}/v1`, maxRetries: 0 }), server);
  } finally {
    await server.close();
  }
  assert.equal(engine.info.memoryBytes, used, 'everything is given back');
}

/** @param {string[]} contents of user and assistant in turn */
export const talk = (...contents) =>
  contents.map((content, i) => ({ role: /** @type {'user' | 'assistant'} */ (i % 2 === 0 ? 'user' : 'assistant'), content }));

/** @param {OpenAI} client @param {any[]} messages @param {object} [more] */
export const ask = (client, messages, more = {}) =>
  client.chat.completions.create({ model: MODEL, messages, max_tokens: 24, temperature: 0, ...more });

export const contentOf = (/** @type {any} */ answer) => String(answer.choices[0].message.content);
export const cachedOf = (/** @type {any} */ answer) => answer.usage.prompt_tokens_details.cached_tokens;

/**
 * What an engine itself answers.
 * @param {import('../../../web/engine.js').Engine} engine
 * @param {import('../../../web/engine.js').Prompt} prompt
 * @param {number} maxTokens
 */
export async function answerOf(engine, prompt, maxTokens) {
  let text = '';
  for await (const piece of engine.generate(prompt, { maxTokens })) text += piece.text;
  return text;
}

export const health = async (/** @type {Server} */ server) => (await fetch(`${server.url}/health`)).json();

/** Until the server has nothing to do. @param {Server} server */
export async function idle(server) {
  for (let state = await health(server); state.running + state.waiting > 0; state = await health(server));
}
