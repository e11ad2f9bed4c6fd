/** Bytes on the server's socket: requests that are changed, cut and put together. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';

import fc from 'fast-check';

import { Engine } from '../../../web/engine.js';
import { Server } from '../../../web/server/server.js';
import { chatModel } from '../../node/helpers/serving.js';
import { mutated, mutations } from '../mutate.js';

const BODY = { model: 'fuzz', messages: [{ role: 'user', content: 'hi' }], max_tokens: 2, temperature: 0 };
const TEXT = { model: 'fuzz', prompt: [[40, 41]], max_tokens: 1, stream: true, stop: ['x'], stream_options: { include_usage: true } };
/** A client that does not end its request gets an answer all the same, or none. */
const PATIENCE_MS = 20;

/** @param {string} line @param {object} [body] @param {string} [more] headers */
function request(line, body, more = '') {
  const text = body ? JSON.stringify(body) : '';
  const type = body ? 'content-type: application/json\r\n' : '';
  return Buffer.from(
    `${line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer key\r\n${more}${type}content-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
  );
}

const requests = [
  request('POST /v1/chat/completions', BODY),
  request('POST /v1/completions', TEXT),
  request('POST /v1/chat/completions', { ...BODY, stream: true }, 'origin: http://example.com\r\n'),
  request('GET /v1/models/fuzz'),
  request('GET /health?x=1'),
  request('OPTIONS /v1/models', undefined, 'access-control-request-headers: x-a\r\n'),
];
/** Where the numbers, names and ends of lines are, roughly: mutations meet them. */
const fields = requests.map((bytes) => [...bytes.toString().matchAll(/[\r":/ ,[{]/g)].map(({ index }) => Number(index)));

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const engine = await Engine.load(chatModel(), { variant: 'simd' });
  /** @type {unknown[]} */
  const wrong = [];
  const options = { model: 'fuzz', port: 0, apiKey: 'key', cors: 'http://example.com', maxBody: 2000, queue: 2 };
  const server = await Server.start(engine, { ...options, onError: (error) => wrong.push(error) });
  const port = Number(new URL(server.url).port);
  const send = (/** @type {Uint8Array} */ bytes, /** @type {boolean} */ whole) =>
    new Promise((resolve) => {
      let answer = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      const timer = whole ? undefined : setTimeout(() => socket.end(), PATIENCE_MS);
      socket.on('data', (data) => (answer += data.toString('latin1')));
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
  return {
    arbitrary: fc.tuple(fc.nat(requests.length - 1), mutations),
    async run([index, list]) {
      const answer = await send(mutated(requests[index], fields[index], list), false);
      assert.ok(!/^HTTP\/1.1 5\d\d /.test(answer), answer.slice(0, 300));
      assert.deepEqual(wrong.splice(0).map(String), []);
    },
    async good() {
      for (const bytes of requests) assert.match(await send(bytes, true), /^HTTP\/1.1 20[04] /);
    },
    async close() {
      await server.close();
      engine.close();
    },
  };
}
