/** Bodies of requests to the server: what is asked for, or which 4xx refuses it. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { Engine } from '../../../web/engine.js';
import { ApiError, toApiError } from '../../../web/server/errors.js';
import { readRequest } from '../../../web/server/request.js';
import { models } from '../models.js';
import { anyValue } from '../mutate.js';

const number = fc.oneof(fc.nat(4), fc.double({ min: -1, max: 3 }), anyValue);
const text = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('<|im_end|>', '</s>', 'hi'), anyValue);
const message = fc.oneof(
  { weight: 4, arbitrary: fc.record({ role: fc.oneof(fc.constantFrom('user', 'system', 'assistant', 'developer'), anyValue), content: fc.oneof({ weight: 3, arbitrary: text }, fc.array(fc.oneof(fc.record({ type: fc.constantFrom('text', 'image_url'), text }), anyValue), { maxLength: 2 })) }) }, // prettier-ignore
  anyValue,
);
const names = ['temperature', 'top_p', 'seed', 'top_k', 'min_p', 'repetition_penalty', 'max_tokens', 'max_completion_tokens'];
const others = [
  'n',
  'best_of',
  'logprobs',
  'tools',
  'tool_choice',
  'response_format',
  'echo',
  'suffix',
  'user',
  'metadata',
  '__proto__',
  'constructor',
  'stream',
];
const body = fc.record(
  {
    model: fc.oneof({ weight: 5, arbitrary: fc.constant('fuzz') }, anyValue),
    messages: fc.oneof({ weight: 5, arbitrary: fc.array(message, { maxLength: 3 }) }, anyValue),
    prompt: fc.oneof(
      text,
      fc.array(number, { maxLength: 4 }),
      fc.array(fc.oneof(text, fc.array(fc.nat(300), { maxLength: 3 })), { maxLength: 2 }),
    ),
    stop: fc.oneof(text, fc.array(text, { maxLength: 3 })),
    stream: fc.oneof(fc.boolean(), anyValue),
    stream_options: fc.oneof(fc.record({ include_usage: anyValue }), anyValue),
    ...Object.fromEntries(names.map((name) => [name, number])),
  },
  { requiredKeys: ['model'] },
);

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const engine = await Engine.load(models[0], { variant: 'simd' });
  const server = { engine, model: 'fuzz', maxTokens: 16 };
  const kinds = /** @type {const} */ (['chat', 'text']);
  return {
    arbitrary: fc.record({ kind: fc.constantFrom(...kinds), body, more: fc.array(fc.tuple(fc.oneof(fc.constantFrom(...others), fc.string({ maxLength: 5 })), anyValue), { maxLength: 1 }) }), // prettier-ignore
    async run({ kind, body: given, more }) {
      // What the other kind asks for is refused by name: most bodies are of one.
      const { prompt, messages, max_completion_tokens: newer, ...both } = given;
      const own = kind === 'chat' ? { messages, max_completion_tokens: newer } : { prompt };
      const asked = { ...both, ...own, ...Object.fromEntries(more) };
      try {
        const job = readRequest(
          kind,
          JSON.parse(JSON.stringify(asked, (_, value) => (typeof value === 'bigint' ? Number(value) : value))),
          server,
        );
        assert.ok(job.ids.length > 0 && job.ids.length < engine.ctx && job.ids.every(Number.isInteger) && job.maxTokens >= 1);
      } catch (error) {
        const { status, body: answer } = toApiError(error);
        if (status >= 500 || !(error instanceof ApiError || typeof answer.error.param === 'string')) throw error;
      }
    },
    async good() {
      readRequest('chat', { model: 'fuzz', messages: [{ role: 'user', content: 'hi' }], max_tokens: 3 }, server);
    },
    close: async () => engine.close(),
  };
}
