/** `halfspace serve` by OpenAI's own client: answers, streams, reuse of prefixes, limits, and every refusal. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import OpenAI from 'openai';

import { Engine } from '../../web/index.js';
import { EventStream, isLocalName } from '../../web/server/http.js';
import { Queue } from '../../web/server/queue.js';
import { Server } from '../../web/server/server.js';
import { randomModel } from './helpers/random-model.js';
import { answerOf, ask, cachedOf, chatModel, contentOf, health, idle, MODEL, servingOn, talk } from './helpers/serving.js';

const CLI = fileURLToPath(new URL('../../web/cli.js', import.meta.url));
const FILE = chatModel();
/** @type {Engine} */
let engine;
let baseline = 0;

before(async () => {
  engine = await Engine.load(FILE);
  await engine.logits('a'); // the buffer of logits is made with the first ones
  baseline = engine.info.memoryBytes;
});
after(() => engine.close());

/**
 * @param {Parameters<typeof servingOn>[1]} options
 * @param {Parameters<typeof servingOn>[2]} body
 */
const serving = (options, body, { on = engine, key = 'any' } = {}) => servingOn(on, options, body, key);

/** What the engine itself answers. @param {import('../../web/engine.js').Prompt} prompt @param {number} maxTokens */
const expected = (prompt, maxTokens) => answerOf(engine, prompt, maxTokens);

/** A raw request with any headers. @param {Server} server @param {string} path @param {import('node:http').RequestOptions} options @param {string} [body] */
async function raw(server, path, options, body = '') {
  const request = httpRequest(`${server.url}${path}`, options);
  request.end(body);
  const [response] = await once(request, 'response');
  let text = '';
  for await (const part of response) text += part;
  return { status: response.statusCode, headers: response.headers, text };
}

describe('answers', () => {
  test('models', () =>
    serving({}, async (client) => {
      const [model, ...others] = (await client.models.list()).data;
      assert.deepEqual([model.id, model.object, others.length], [MODEL, 'model', 0]);
      assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
      await assert.rejects(client.models.retrieve('other'), { status: 404, code: 'model_not_found' });
    }));

  test('a chat is answered as the engine answers it', () =>
    serving({}, async (client) => {
      const answer = await ask(client, talk('Who?'));
      const text = await expected(talk('Who?'), 24);
      assert.ok(new Set(text).size > 8, `${text} repeats itself and would show little`);
      assert.deepEqual(answer.choices, [
        { index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: 'length' },
      ]);
      const tokens = engine.chatTokens(talk('Who?')).length;
      assert.deepEqual(answer.usage, {
        prompt_tokens: tokens,
        completion_tokens: 24,
        total_tokens: tokens + 24,
        prompt_tokens_details: { cached_tokens: 0 },
      });
      assert.deepEqual([answer.object, answer.model], ['chat.completion', MODEL]);
      assert.ok(answer.id.startsWith('chatcmpl-') && Math.abs(answer.created - Date.now() / 1000) < 60);
    }));

  test('a stream has the same text, piece by piece', () =>
    serving({}, async (client) => {
      const chunks = [];
      for await (const chunk of await ask(client, talk('Who?'), { stream: true, stream_options: { include_usage: true } }))
        chunks.push(chunk);
      const [first, ...rest] = chunks;
      const [end, use] = rest.splice(-2);
      assert.deepEqual(first.choices[0].delta, { role: 'assistant', content: '' });
      assert.ok(rest.length > 10 && rest.every(({ choices, usage }) => choices[0].finish_reason === null && usage === null));
      assert.equal(rest.map(({ choices }) => choices[0].delta.content).join(''), await expected(talk('Who?'), 24));
      assert.deepEqual([end.choices[0].delta, end.choices[0].finish_reason], [{}, 'length']);
      assert.deepEqual([use.choices, use.usage.completion_tokens], [[], 24]);
      assert.deepEqual([new Set(chunks.map(({ id }) => id)).size, first.object], [1, 'chat.completion.chunk']);
    }));

  test('a stream ends with [DONE], and tells while it reads a long prompt', () =>
    serving({}, async (_client, server) => {
      const body = JSON.stringify({ model: MODEL, prompt: 'a'.repeat(300), max_tokens: 2, stream: true });
      const { text, headers } = await raw(
        server,
        '/v1/completions',
        { method: 'POST', headers: { 'content-type': 'application/json' } },
        body,
      );
      assert.match(String(headers['content-type']), /^text\/event-stream/);
      assert.deepEqual(text.split('\n\n').slice(0, 2), [
        ': 128 of 301 tokens of the prompt read',
        ': 256 of 301 tokens of the prompt read',
      ]);
      assert.ok(text.endsWith('data: [DONE]\n\n') && !text.includes('usage'));
      const chunks = text.match(/"finish_reason":(null|"\w+")/g);
      assert.equal(chunks?.at(-1), '"finish_reason":"length"');
    }));

  test('completions of text and of token ids, whole and streamed', () =>
    serving({}, async (client) => {
      const text = await expected('Once', 16);
      const ids = engine.tokenize('Once');
      for (const prompt of ['Once', ['Once'], ids, [ids]]) {
        const answer = await client.completions.create({ model: MODEL, prompt, temperature: 0 });
        assert.deepEqual([answer.choices[0].text, answer.object, answer.usage?.completion_tokens], [text, 'text_completion', 16]);
      }
      let streamed = '';
      const finish = [];
      for await (const { choices } of await client.completions.create({ model: MODEL, prompt: 'Once', temperature: 0, stream: true })) {
        streamed += choices[0].text;
        finish.push(choices[0].finish_reason);
      }
      assert.deepEqual([streamed, finish.at(-1)], [text, 'length']);
      assert.ok(finish.slice(0, -1).every((reason) => reason === null));
    }));

  test('stop strings end an answer, whole and streamed', () =>
    serving({}, async (client) => {
      const free = await expected(talk('Who?'), 24);
      const stop = free.slice(7, 10);
      for (const given of [stop, ['\n\n', stop]]) {
        const { choices } = await ask(client, talk('Who?'), { stop: given });
        assert.deepEqual([choices[0].message.content, choices[0].finish_reason], [free.slice(0, free.indexOf(stop)), 'stop']);
      }
      let text = '';
      for await (const { choices } of await ask(client, talk('Who?'), { stop, stream: true })) text += choices[0].delta.content ?? '';
      assert.equal(text, free.slice(0, free.indexOf(stop)));
    }));

  test('sampling: a seed gives its answer again, and each parameter counts', () =>
    serving({}, async (client) => {
      const sample = async (/** @type {object} */ more) =>
        (await ask(client, talk('Who?'), { temperature: undefined, seed: 5, ...more })).choices[0].message.content;
      const [plain, again, other] = [await sample({}), await sample({}), await sample({ seed: 6 })];
      assert.equal(again, plain);
      assert.notEqual(other, plain);
      const greedy = await expected(talk('Who?'), 24);
      assert.notEqual(plain, greedy, 'the default temperature is 1');
      for (const one of [{ temperature: 0 }, { top_p: 0 }, { top_k: 1 }, { min_p: 1 }])
        assert.equal(await sample(one), greedy, JSON.stringify(one));
      assert.notEqual(await sample({ temperature: 0, repetition_penalty: 5 }), greedy);
      assert.ok((await sample({ temperature: 0, max_tokens: undefined, max_completion_tokens: 3 })).length === 3);
    }));

  test('parts of text, the developer role, and parameters that ask for nothing', () =>
    serving({}, async (client) => {
      const text = await expected([{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Who?' }], 24); // prettier-ignore
      const parts = [{ type: 'text', text: 'Wh' }, { type: 'text', text: 'o?' }]; // prettier-ignore
      const nothing = {
        n: 1,
        logprobs: false,
        top_p: null,
        frequency_penalty: 0,
        tools: [],
        logit_bias: {},
        user: 'me',
        response_format: { type: 'text' },
      };
      const messages = [{ role: 'developer', content: 'Be brief.' }, { role: 'user', content: parts }]; // prettier-ignore
      assert.equal((await ask(client, messages, nothing)).choices[0].message.content, text);
    }));

  test('a chat that names no number of tokens gets the server’s, a full context ends an answer', () =>
    serving({ maxTokens: 5 }, async (client) => {
      const { usage } = await ask(client, talk('Who?'), { max_tokens: undefined });
      assert.equal(usage?.completion_tokens, 5);
      const long = await client.completions.create({ model: MODEL, prompt: 'a'.repeat(4090), max_tokens: 100, temperature: 0 });
      assert.deepEqual([long.usage?.total_tokens, long.choices[0].finish_reason], [4096, 'length']);
    }));
});

describe('prefixes', () => {
  test('a conversation goes on after its last answer, with the answers it has without reuse', async () => {
    const questions = ['Who?', 'Where?', 'When was that?'];
    /** @param {OpenAI} client */
    const converse = async (client) => {
      const said = /** @type {string[]} */ ([]);
      const turns = [];
      for (const question of questions) {
        const answer = await ask(client, talk(...said, question));
        said.push(question, contentOf(answer));
        turns.push({ prompt: answer.usage.prompt_tokens, cached: cachedOf(answer) });
      }
      return { said, turns };
    };
    /** @type {string[]} */
    let anew = [];
    await serving({ prefixes: { entries: 0, bytes: 0 } }, async (client) => {
      const { said, turns } = await converse(client);
      assert.ok(turns.every(({ cached }) => cached === 0));
      anew = said;
    });
    await serving({}, async (client) => {
      const { said, turns } = await converse(client);
      assert.deepEqual(said, anew);
      const [first, second, third] = turns;
      assert.deepEqual([first.cached, second.cached, third.cached], [0, first.prompt + 23, second.prompt + 23], 'all that was read');
      const again = await ask(client, talk(...said.slice(0, -1)));
      assert.equal(cachedOf(again), third.prompt - 1, 'asked again: all but the token whose logits are wanted');
      assert.equal(contentOf(again), said.at(-1));
    });
  });

  test('conversations share what they have in common', () =>
    serving({}, async (client, server) => {
      const system = { role: 'system', content: 'You know everything about rabbits and about watches.' };
      const start = (/** @type {string[]} */ ...said) => [system, ...talk(...said)];
      const common = engine.chatTokens([system]).length - '[assistant]'.length;
      const first = await ask(client, start('Who?'), { max_tokens: 4 });
      const second = await ask(client, start('Which one?'), { max_tokens: 4 });
      assert.equal(cachedOf(second), common + '[user]Wh'.length, 'the first was cut');
      assert.equal(contentOf(second), await expected(start('Which one?'), 4));
      const third = await ask(client, start('Who?', contentOf(first), 'And?'), { max_tokens: 4 });
      assert.equal(cachedOf(third), common + '[user]Wh'.length, 'what two continue is not cut again');
      assert.equal(contentOf(third), await expected(start('Who?', contentOf(first), 'And?'), 4));
      const fourth = await ask(client, start('Which one?', contentOf(second), 'And?'), { max_tokens: 4 });
      assert.equal(cachedOf(fourth), second.usage.prompt_tokens + 3);
      assert.equal(contentOf(fourth), await expected(start('Which one?', contentOf(second), 'And?'), 4));
      assert.equal(server.prefixes.size, 4);
    }));

  test('they stay within their limits, the least recently used go first', async () => {
    await serving({ prefixes: { entries: 2, bytes: 2 ** 30 } }, async (client, server) => {
      for (const content of ['Who?', 'And where, if I may ask?', 'Who?', 'This is something else entirely.'])
        await ask(client, talk(content), { max_tokens: 4 });
      assert.equal(server.prefixes.size, 2);
      const used = cachedOf(await ask(client, talk('Who?')));
      assert.equal(used, engine.chatTokens(talk('Who?')).length - 1, 'it was used later than the second');
    });
    await serving({ prefixes: { entries: 100, bytes: 2_000_000 } }, async (client, server) => {
      for (let i = 0; i < 8; i++) {
        await ask(client, talk(`${i}: who?`));
        assert.ok(server.prefixes.bytes <= 2_000_000);
        assert.equal(engine.info.memoryBytes - baseline, server.prefixes.bytes, 'nothing else is held');
      }
      assert.ok(server.prefixes.size > 1 && server.prefixes.size < 8, `${server.prefixes.size} are held`);
    });
  });

  test('when memory is short they make room; what does not fit even then is refused', async () => {
    const small = await Engine.load(FILE, { maxMemoryBytes: 11 * 2 ** 20 });
    await small.logits('a');
    await serving({}, async (client, server) => {
      for (let i = 0; i < 12; i++) assert.equal((await ask(client, talk(`${i}: who?`))).usage?.completion_tokens, 24);
      assert.ok(server.prefixes.size < 12, 'some had to go');
      await assert.rejects(ask(client, talk('a'.repeat(4000)), { max_tokens: 90 }), { status: 400, code: 'out_of_memory' });
      assert.equal(server.prefixes.size, 0);
      assert.equal((await ask(client, talk('Who?'))).usage?.completion_tokens, 24);
    }, { on: small }); // prettier-ignore
    small.close();
  });
});

describe('aborts and the queue', () => {
  /** @param {OpenAI} client */
  const longStream = (client) => ask(client, talk('Tell all.'), { max_tokens: 4000, stream: true });

  test('a client that leaves ends its generation, and others are answered', () =>
    serving({}, async (client, server) => {
      const stream = await longStream(client);
      let seen = 0;
      for await (const _ of stream) if (++seen === 5) break; // the client closes the connection
      await idle(server);
      assert.equal(server.prefixes.size, 0, 'it did not end by itself');
      assert.equal(engine.info.memoryBytes, baseline);
      const controller = new AbortController();
      const whole = ask(client, talk('Tell all.'), { max_tokens: 1200 });
      const left = client.chat.completions.create(
        { model: MODEL, messages: talk('Tell more.'), max_tokens: 4000 },
        { signal: controller.signal },
      );
      while ((await health(server)).waiting === 0);
      controller.abort();
      await assert.rejects(left, OpenAI.APIUserAbortError);
      while ((await health(server)).waiting > 0);
      assert.equal((await health(server)).running, 1, 'who waited left the queue, who ran goes on');
      assert.equal((await whole).usage?.completion_tokens, 1200);
    }));

  test('requests run in turn, and a full queue says when to come again', () =>
    serving({ queue: 1 }, async (client, server) => {
      const running = await longStream(client);
      const waiting = ask(client, talk('Who?'));
      while ((await health(server)).waiting === 0);
      const error = await ask(client, talk('Me too?')).then(assert.fail, (/** @type {any} */ e) => e);
      assert.deepEqual([error.status, error.code, error.type], [429, 'queue_full', 'rate_limit_error']);
      assert.ok(Number(error.headers.get('retry-after')) >= 1);
      running.controller.abort();
      assert.equal((await waiting).choices[0].message.content, await expected(talk('Who?'), 24));
    }));

  test('a task that fails, or leaves the queue, lets the next one run', async () => {
    const queue = new Queue(3);
    const never = new AbortController().signal;
    const leaving = new AbortController();
    const ran = /** @type {string[]} */ ([]);
    const failing = queue.run(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      ran.push('first');
      throw new Error('by itself');
    }, never);
    const tasks = ['second', 'third', 'fourth'].map((name, i) =>
      queue.run(async () => void ran.push(name), i === 0 ? leaving.signal : never),
    );
    await assert.rejects(
      queue.run(async () => assert.fail('no room'), never),
      { status: 429 },
    );
    leaving.abort();
    await Promise.all([assert.rejects(failing, /by itself/), assert.rejects(tasks[0], { code: 'aborted' }), tasks[1], tasks[2]]);
    assert.deepEqual([ran, queue.busy, queue.waiting], [['first', 'third', 'fourth'], false, 0]);
  });

  test('a client that takes nothing is given up', async () => {
    const closed = new AbortController();
    const response = Object.assign(new EventTarget(), { headersSent: true, write: () => false, destroy: () => closed.abort() });
    const stream = new EventStream(/** @type {any} */ (response), closed.signal, 1);
    await assert.rejects(stream.send({}), { name: 'AbortError' });
  });

  test('closing ends streams and whoever waits with an error', async () => {
    const server = await Server.start(engine, { model: MODEL, port: 0 });
    const { url } = server;
    const client = new OpenAI({ apiKey: 'any', baseURL: `${url}/v1`, maxRetries: 0 });
    const stream = await longStream(client);
    const waiting = ask(client, talk('Who?'));
    while ((await health(server)).waiting === 0);
    const streaming = assert.rejects(async () => {
      for await (const _ of stream);
    }, /shutting down/);
    const refused = assert.rejects(waiting, { status: 503, code: 'shutting_down' });
    await Promise.all([server.close(), streaming, refused]);
    await assert.rejects(fetch(`${url}/health`), 'nobody listens');
    assert.equal(engine.info.memoryBytes, baseline);
  });
});

describe('refusals', () => {
  /** @param {Server} server @param {string} path @param {unknown} body */
  const post = (server, path, body, headers = {}) =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  /** @param {Response} response @param {number} status @param {string} code @param {string | null} [param] */
  async function refused(response, status, code, param = null) {
    const { error, ...rest } = await response.json();
    assert.deepEqual([response.status, error.code, error.param, rest], [status, code, param, {}], error.message);
    assert.ok(typeof error.message === 'string' && typeof error.type === 'string');
    assert.match(String(response.headers.get('content-type')), /^application\/json/);
    return response;
  }

  const chat = { model: MODEL, messages: talk('Who?') };
  const text = { model: MODEL, prompt: 'Once' };

  test('each bad field is named', () =>
    serving({}, async (client, server) => {
      /** @type {[object, string, string, number?][]} */
      const chats = [
        [{ model: undefined }, 'missing_required_parameter', 'model'],
        [{ model: 'gpt-4' }, 'model_not_found', 'model', 404],
        [{ messages: undefined }, 'missing_required_parameter', 'messages'],
        [{ messages: [] }, 'invalid_value', 'messages'],
        [{ messages: Array(4097).fill(talk('a')[0]) }, 'invalid_value', 'messages'],
        [{ messages: [null] }, 'invalid_value', 'messages[0].role'],
        [{ messages: [{ role: 'tool', content: 'a' }] }, 'invalid_value', 'messages[0].role'],
        [{ messages: [{ role: 'user' }] }, 'invalid_value', 'messages[0].content'],
        [{ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'unsupported_value', 'messages[0].content[0].type'],
        [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'invalid_value', 'messages[0].content[0].text'],
        [{ messages: talk('refuse') }, 'invalid_value', 'messages'],
        [{ messages: talk('a'.repeat(5000)) }, 'context_length_exceeded', 'messages'],
        [{ prompt: 'a' }, 'unknown_parameter', 'prompt'],
        [{ constructor: 1 }, 'unknown_parameter', 'constructor'],
        [{ n: 2 }, 'unsupported_parameter', 'n'],
        [{ logprobs: true }, 'unsupported_parameter', 'logprobs'],
        [{ frequency_penalty: 0.5 }, 'unsupported_parameter', 'frequency_penalty'],
        [{ presence_penalty: -1 }, 'unsupported_parameter', 'presence_penalty'],
        [{ tools: [{ type: 'function' }] }, 'unsupported_parameter', 'tools'],
        [{ response_format: { type: 'json_object' } }, 'unsupported_parameter', 'response_format'],
        [{ temperature: 2.5 }, 'invalid_value', 'temperature'],
        [{ temperature: 'hot' }, 'invalid_value', 'temperature'],
        [{ top_p: 1.5 }, 'invalid_value', 'top_p'],
        [{ seed: 1.5 }, 'invalid_value', 'seed'],
        [{ max_tokens: 0 }, 'invalid_value', 'max_tokens'],
        [{ max_tokens: 5, max_completion_tokens: 5 }, 'invalid_value', 'max_tokens'],
        [{ stop: 5 }, 'invalid_value', 'stop'],
        [{ stop: [''] }, 'invalid_value', 'stop[0]'],
        [{ stop: Array(17).fill('a') }, 'invalid_value', 'stop'],
        [{ stream: 'yes' }, 'invalid_value', 'stream'],
        [{ stream_options: {} }, 'invalid_value', 'stream_options'],
        [{ stream: true, stream_options: 1 }, 'invalid_value', 'stream_options'],
        [{ stream: true, stream_options: { include_usage: 1 } }, 'invalid_value', 'include_usage'],
      ];
      for (const [change, code, param, status = 400] of chats)
        await refused(await post(server, '/v1/chat/completions', { ...chat, ...change }), status, code, param);
      /** @type {[object, string, string][]} */
      const texts = [
        [{ prompt: undefined }, 'missing_required_parameter', 'prompt'],
        [{ prompt: ['a', 'b'] }, 'invalid_value', 'prompt'],
        [{ prompt: [5, -1] }, 'invalid_value', 'prompt[1]'],
        [{ prompt: [288] }, 'invalid_value', 'prompt[0]'],
        [{ prompt: [1.5] }, 'invalid_value', 'prompt[0]'],
        [{ prompt: 'a'.repeat(4096) }, 'context_length_exceeded', 'prompt'],
        [{ messages: [] }, 'unknown_parameter', 'messages'],
        [{ best_of: 3 }, 'unsupported_parameter', 'best_of'],
        [{ echo: true }, 'unsupported_parameter', 'echo'],
        [{ logprobs: 1 }, 'unsupported_parameter', 'logprobs'],
        [{ suffix: 'end' }, 'unsupported_parameter', 'suffix'],
      ];
      for (const [change, code, param] of texts)
        await refused(await post(server, '/v1/completions', { ...text, ...change }), 400, code, param);
      await assert.rejects(ask(client, talk('a'), { n: 2 }), { status: 400, param: 'n', type: 'invalid_request_error' });
    }));

  test('bodies', () =>
    serving({ maxBody: 1000 }, async (client, server) => {
      for (const body of ['', '{', '[]', '5', 'null', '"a"'])
        await refused(await post(server, '/v1/completions', body), 400, 'invalid_json');
      await refused(await fetch(`${server.url}/v1/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: new Uint8Array([0x22, 0xff, 0x22]) }), 400, 'invalid_json'); // prettier-ignore
      await refused(await post(server, '/v1/completions', text, { 'content-type': 'text/plain' }), 415, 'unsupported_media_type');
      const exact = JSON.stringify({ ...text, user: '' });
      const filled = (/** @type {number} */ bytes) => JSON.stringify({ ...text, user: 'a'.repeat(bytes - exact.length) });
      assert.equal((await post(server, '/v1/completions', filled(1000))).status, 200);
      await refused(await post(server, '/v1/completions', filled(1001)), 413, 'body_too_large');
      await refused(await post(server, '/v1/completions', filled(5_000_000)), 413, 'body_too_large');
      await assert.rejects(ask(client, talk('a'.repeat(2000))), { status: 413 });
    }));

  test('paths and methods', () =>
    serving({}, async (_client, server) => {
      for (const path of ['/', '/v1', '/v1/chat', '/v1/embeddings', '/constructor', '//v1/models']) {
        await refused(await fetch(`${server.url}${path}`), 404, 'unknown_url');
      }
      for (const name of ['other', '%E0%A4%A', ''])
        await refused(await fetch(`${server.url}/v1/models/${name}`), 404, 'model_not_found', 'model');
      const get = await refused(await fetch(`${server.url}/v1/chat/completions`), 405, 'method_not_allowed');
      assert.equal(get.headers.get('allow'), 'POST');
      await refused(await post(server, '/v1/models', {}), 405, 'method_not_allowed');
      await refused(await fetch(`${server.url}/v1/completions`, { method: 'OPTIONS' }), 405, 'method_not_allowed');
      assert.equal((await fetch(`${server.url}/v1/models?limit=5`)).status, 200);
    }));

  test('a key, where there is one', () =>
    serving({ apiKey: 'secret' }, async (client, server) => {
      await assert.rejects(ask(client, talk('Who?')), { status: 401, code: 'invalid_api_key' });
      for (const authorization of ['', 'secret', 'Bearer secret2', 'Bearer ', 'bearer'])
        await refused(await fetch(`${server.url}/v1/models`, { headers: { authorization } }), 401, 'invalid_api_key');
      await refused(await fetch(`${server.url}/nothing`), 401, 'invalid_api_key');
      const right = new OpenAI({ apiKey: 'secret', baseURL: `${server.url}/v1`, maxRetries: 0 });
      assert.equal((await right.models.list()).data.length, 1);
      assert.equal((await health(server)).status, 'ok');
    }));

  test('names that a web page made point here', () =>
    serving({ host: undefined }, async (_client, server) => {
      const { hostname, port } = new URL(server.url);
      assert.equal(hostname, '127.0.0.1');
      for (const host of ['evil.example', `evil.example:${port}`, '10.0.0.1', 'localhost.evil.example', 'a b'])
        assert.equal((await raw(server, '/v1/models', { headers: { host } })).status, 403, host);
      for (const header of [undefined, '', ':', '[::1', '127.0.0.1.evil.example']) assert.equal(isLocalName(header), false, header);
      for (const host of ['localhost', `localhost:${port}`, `127.0.0.1:${port}`, '[::1]', 'LOCALHOST'])
        assert.equal((await raw(server, '/v1/models', { headers: { host } })).status, 200, host);
    }));

  test('pages of other origins, unless one is named', async () => {
    const preflight = {
      method: 'OPTIONS',
      headers: { origin: 'https://page.example', 'access-control-request-headers': 'x-stainless-os' },
    };
    await serving({}, async (_client, server) => {
      const { headers } = await raw(server, '/v1/models', { headers: { origin: 'https://page.example' } });
      assert.equal(headers['access-control-allow-origin'], undefined);
    });
    await serving({ cors: 'https://page.example', apiKey: 'secret' }, async (_client, server) => {
      const { status, headers } = await raw(server, '/v1/chat/completions', preflight);
      assert.deepEqual(
        [status, headers['access-control-allow-origin'], headers['access-control-allow-headers']],
        [204, 'https://page.example', 'x-stainless-os'],
      );
      const wrong = await raw(server, '/v1/models', {});
      assert.deepEqual([wrong.status, wrong.headers['access-control-allow-origin']], [401, 'https://page.example']);
    });
  });

  test('a port that is taken', () =>
    serving({}, async (_client, server) => {
      const port = Number(new URL(server.url).port);
      await assert.rejects(Server.start(engine, { model: MODEL, port }), { code: 'io', field: 'port', value: port });
    }));

  test('a client that vanishes while it sends is no error of the server', () =>
    serving({}, async (_client, server) => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      socket.write(
        'POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"mod',
      );
      while ((await new Promise((resolve) => setImmediate(resolve, socket.bytesWritten))) === 0);
      await health(server);
      socket.destroy();
      await once(socket, 'close');
      assert.equal((await health(server)).status, 'ok');
    }));

  test('an engine of no more use is reported, and clients get no details', async () => {
    const broken = await Engine.load(FILE);
    const errors = /** @type {any[]} */ ([]);
    const server = await Server.start(broken, { model: MODEL, port: 0, onError: (error) => errors.push(error) });
    broken.close();
    await refused(await post(server, '/v1/chat/completions', chat), 500, 'internal_error');
    assert.deepEqual([errors.length, errors[0].code], [1, 'closed']);
    await server.close();
  });

  test('a model without a chat template completes text only', async () => {
    const plain = await Engine.load(randomModel({ arch: 'llama' }));
    await plain.logits('a');
    await serving({}, async (client) => {
      await assert.rejects(ask(client, talk('Who?')), { status: 400, code: 'unsupported_value' });
      assert.equal((await client.completions.create({ model: MODEL, prompt: 'a', temperature: 0 })).usage?.completion_tokens, 16);
    }, { on: plain }); // prettier-ignore
    plain.close();
  });
});

describe('command line', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
    await writeFile(join(folder, 'my model.gguf'), FILE);
  });
  after(() => rm(folder, { recursive: true }));

  /** @param {string[]} args */
  function start(...args) {
    const child = spawn(process.execPath, [CLI, 'serve', '--port', '0', ...args], {
      env: { ...process.env, HALFSPACE_API_KEY: 'from the environment' },
    });
    let stderr = '';
    child.stderr.on('data', (part) => (stderr += part));
    const ended = once(child, 'close').then(([status]) => ({ status, stderr }));
    return { child, ended };
  }

  test('serves until a signal, which ends streams and the process', async () => {
    const { child, ended } = start('--model', join(folder, 'my model.gguf'), '--json');
    const [line] = await once(child.stdout, 'data');
    const { url, model } = JSON.parse(line);
    assert.equal(model, 'my model');
    const client = new OpenAI({ apiKey: 'from the environment', baseURL: url, maxRetries: 0 });
    const stream = await client.chat.completions.create({ model, messages: talk('Tell all.'), max_tokens: 4000, stream: true });
    let signals = 0; // a second one would not wait
    await assert.rejects(async () => {
      for await (const _ of stream) if (signals++ === 0) child.kill('SIGTERM');
    }, /shutting down/);
    assert.deepEqual(await ended, { status: 0, stderr: '' });
  });

  test('one line and status 1 on bad options', async () => {
    const model = join(folder, 'my model.gguf');
    for (const args of [
      ['--model', model, '--port', '70000'],
      ['--model', model, '--queue', '-1'],
      ['--model', join(folder, 'none.gguf')],
    ]) {
      const { status, stderr } = await start(...args).ended;
      assert.deepEqual([status, stderr.trimEnd().split('\n').length], [1, 1], stderr);
    }
  });
});

test(
  'the real model answers in a conversation',
  { skip: process.env.HALFSPACE_TEST_MODEL ? false : 'HALFSPACE_TEST_MODEL is not set' },
  async () => {
    const real = await Engine.load(/** @type {string} */ (process.env.HALFSPACE_TEST_MODEL));
    await real.logits('a');
    await serving({}, async (client) => {
    const first = await ask(client, talk('What is the capital of France?'));
    const text = String(first.choices[0].message.content);
    assert.match(text, /Paris/);
    assert.equal(first.choices[0].finish_reason, 'stop');
    const second = await ask(client, talk('What is the capital of France?', text, 'And of Italy?'));
    assert.match(String(second.choices[0].message.content), /Rome/);
    const cached = second.usage?.prompt_tokens_details?.cached_tokens ?? 0;
    assert.equal(cached, (first.usage?.total_tokens ?? 0), 'the answer was read with its end; the end token comes with the next turn');
  }, { on: real }); // prettier-ignore
    real.close();
  },
);
