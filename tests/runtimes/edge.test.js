/** The example edge worker in workerd: streams of queries and of text, its memory limit, and what it says of wrong requests. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { buildDemo } from '../../demo/edge/build.js';
import { attend, edgeMemory, Engine, HalfspaceError, KvCache } from '../../web/edge.js';
import { bruteReport } from '../node/helpers/brute-attention.js';
import { failure } from '../node/helpers/failure.js';
import { randomModel } from '../node/helpers/random-model.js';
import { uniform } from '../suites/index-and-tree.js';
import { startWorkerd } from './workerd.js';

const [D, KV_HEADS, ROWS] = [64, 2, 2000];
const PROMPT = 'The half-space of a query';
const MB = 1 << 20;
let folder = '';
let url = '';
let idle = 0;
/** @type {Awaited<ReturnType<typeof startWorkerd>>} */
let workerd;
/** Of the chunks. */
const [KEYS, VALUES] = [1, 2].map((seed) => uniform(seed, 2 * ROWS * KV_HEADS * D));

/** @param {string} name @param {string | Uint8Array} content */
const put = (name, content) => writeFile(join(folder, 'store', name), content);

/** @param {Float32Array[]} arrays */
const bytesOf = (...arrays) => Buffer.concat(arrays.map((numbers) => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)));

/** Resident memory of workerd in bytes. */
async function resident() {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(workerd.process.pid)]);
  return 1024 * Number(stdout);
}

/**
 * @param {string} path
 * @param {string | Uint8Array} [body]
 * @param {string} [method]
 */
const call = (path, body, method = 'POST') => fetch(`${url}${path}`, { method, body: /** @type {BodyInit} */ (body) });

/** @param {Promise<Response>} response @param {number} status @returns {Promise<any>} */
async function refused(response, status) {
  const { status: actual, body, ...rest } = await response;
  const text = await new Response(body).text();
  assert.equal(actual, status, `${text} ${JSON.stringify(rest)}`);
  return JSON.parse(text).error;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-edge-'));
  await mkdir(join(folder, 'store'));
  await buildDemo(folder);
  await put('model.gguf', randomModel({ arch: 'llama', type: 'Q4_1', tied: false }));
  const half = KEYS.length / 2;
  const shape = { headDim: D, kvHeads: KV_HEADS, type: 'f32' };
  for (const i of [0, 1])
    await put(`book.${i}.f32`, bytesOf(KEYS.subarray(i * half, (i + 1) * half), VALUES.subarray(i * half, (i + 1) * half)));
  await put('book.json', JSON.stringify({ ...shape, chunks: ['book.0.f32', 'book.1.f32'] }));
  await put('library.json', JSON.stringify({ ...shape, chunks: Array(100).fill('book.0.f32') }));
  await put('torn.json', JSON.stringify({ ...shape, chunks: ['book.0.f32', 'torn.0.f32'] }));
  await put('torn.0.f32', bytesOf(KEYS.subarray(0, 1000)));
  await put('huge.json', JSON.stringify({ ...shape, chunks: ['huge.0.f32'] }));
  await put('huge.0.f32', new Uint8Array(5 * MB));
  workerd = await startWorkerd(folder, ['--directory-path', `store=${join(folder, 'store')}`, '--socket-addr', 'http=127.0.0.1:0']);
  ({ url } = workerd);
  idle = await resident();
});

after(async () => {
  await workerd.close();
  await rm(folder, { recursive: true });
});

test('a model generates the text that it generates here, as a stream', { timeout: 60_000 }, async () => {
  const engine = await Engine.load(join(folder, 'store', 'model.gguf'), { variant: 'simd' });
  let expected = '';
  for await (const { text } of engine.generate(PROMPT, { maxTokens: 20 })) expected += text;
  engine.close();
  const responses = await Promise.all([1, 2].map(() => call('generate', JSON.stringify({ prompt: PROMPT, maxTokens: 20 }))));
  for (const response of responses) {
    assert.equal(response.status, 200);
    assert.equal(await response.text(), expected);
  }
});

test('each query is answered before the next one is sent, bit by bit as here', { timeout: 60_000 }, async () => {
  const cache = await KvCache.create({ headDim: D, kvHeads: KV_HEADS, type: 'f32', wasm: { variant: 'simd' } });
  cache.append({ keys: KEYS, values: VALUES });
  const sent = request(`${url}attend/book?heads=4`, { method: 'POST' });
  sent.flushHeaders();
  /** @type {AsyncIterator<Buffer> | undefined} */
  let answers;
  for (const seed of [3, 4, 5]) {
    const query = uniform(seed, 4 * D).map((x) => 8 * x);
    sent.write(bytesOf(query));
    if (!answers) {
      const [response] = await once(sent, 'response');
      assert.equal(response.statusCode, 200);
      answers = response[Symbol.asyncIterator]();
    }
    const expected = bytesOf(attend(cache, query).output);
    let answer = Buffer.alloc(0);
    while (answer.length < expected.length) answer = Buffer.concat([answer, (await answers?.next())?.value]);
    assert.ok(answer.equals(expected), `query ${seed}`);
  }
  sent.end();
  assert.equal((await answers?.next())?.done, true);
  cache.free();
});

test('an index reports the keys of the half-space', { timeout: 60_000 }, async () => {
  const queries = [6, 7].map((seed) => uniform(seed, D));
  const response = await call('report/book?b=6', bytesOf(...queries));
  const lines = (await response.text()).trim().split('\n');
  /** @type {[number, Float32Array][]} */
  const keys = Array.from({ length: KEYS.length / D }, (_, p) => [p, KEYS.subarray(p * D, p * D + D)]);
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    queries.map((query) => bruteReport(query, keys, 6).positions),
  );
  assert.ok(lines.every((line) => line.length > 10));
});

test('beyond its limit 507, what is held stays, all within 128 MB', { timeout: 60_000 }, async (t) => {
  const error = await refused(call('attend/library', bytesOf(uniform(8, KV_HEADS * D))), 507);
  assert.deepEqual([error.code, error.field, error.limit], ['out-of-memory', 'keys', 48 * MB]);
  const held = await call('attend/book', bytesOf(uniform(8, KV_HEADS * D)));
  assert.equal((await held.arrayBuffer()).byteLength, 4 * KV_HEADS * D);
  const used = (await resident()) - idle;
  t.diagnostic(`${(used / MB).toFixed(1)} MB`);
  assert.ok(used > 48 * MB && used < 128 * MB, `${(used / MB).toFixed(1)} MB more than idle`);
});

test('memory is given back', async () => {
  assert.equal((await call('book', undefined, 'DELETE')).status, 204);
  assert.equal((await call('book', undefined, 'DELETE')).status, 404);
  assert.equal((await call('attend/book', bytesOf(uniform(8, KV_HEADS * D)))).status, 200);
});

test('wrong requests and wrong files are typed errors', { timeout: 60_000 }, async () => {
  const query = bytesOf(uniform(9, KV_HEADS * D));
  assert.equal((await refused(call('attend/nothing', query), 404)).field, 'nothing.json');
  const torn = await refused(call('attend/torn', query), 502);
  assert.deepEqual([torn.code, torn.field, torn.value, torn.limit], ['bad-file', 'torn.0.f32', 4000, 8 * KV_HEADS * D]);
  const huge = await refused(call('attend/huge', query), 502);
  assert.deepEqual([huge.code, huge.field, huge.value, huge.limit], ['bad-file', 'huge.0.f32', 5 * MB, 4 * MB]);
  const partial = await refused(call('attend/book', query.subarray(0, 100)), 400);
  assert.deepEqual([partial.field, partial.value, partial.limit], ['body', 100, 4 * KV_HEADS * D]);
  assert.equal((await refused(call('attend/book?heads=3', bytesOf(uniform(9, 3 * D))), 400)).field, 'queries');
  assert.equal((await refused(call('report/book', query), 400)).field, 'b');
  assert.equal((await refused(call('generate', '{"prompt":'), 400)).field, 'body');
  assert.equal((await refused(call('generate', '{"prompt":7}'), 400)).field, 'prompt');
  assert.equal((await refused(call('generate', '{"prompt":"a","maxTokens":-1}'), 400)).field, 'maxTokens');
  assert.equal((await refused(call('generate', ' '.repeat(70_000)), 400)).field, 'content-length');
  const long = await refused(call('generate', JSON.stringify({ prompt: PROMPT.repeat(20) })), 413);
  assert.deepEqual([long.code, long.limit], ['context-full', 256]);
  assert.equal((await call('attend/..%2Fbook', query)).status, 404);
  // A repaired file is read again.
  await put('torn.0.f32', await readFile(join(folder, 'store', 'book.1.f32')));
  assert.equal((await call('attend/torn', query)).status, 200);
});

test('clients that leave give their memory back', { timeout: 60_000 }, async () => {
  const body = JSON.stringify({ prompt: PROMPT, maxTokens: 200 });
  // A context takes 0.7 MB of the model's 32: as many would not fit.
  for (let i = 0; i < 60; i++) {
    const leaving = new AbortController();
    const response = await fetch(`${url}generate`, { method: 'POST', body, signal: leaving.signal });
    assert.equal(response.status, 200, `request ${i}`);
    await response.body?.getReader().read();
    leaving.abort();
  }
  assert.ok((await (await call('generate', body)).text()).length > 0);
});

test('edgeMemory takes modules alone, and limits them', async () => {
  const module = new WebAssembly.Module(await readFile(join(folder, 'halfspace.simd.wasm')));
  assert.deepEqual(edgeMemory(module), { wasm: { simd: module }, maxMemoryBytes: 96 * MB });
  assert.equal(edgeMemory({ simd: module }, { maxMemoryBytes: 8 * MB }).maxMemoryBytes, 8 * MB);
  for (const wrong of [undefined, {}, { avx: module }, { simd: 'halfspace.simd.wasm' }])
    assert.throws(() => edgeMemory(/** @type {any} */ (wrong)), failure('bad-argument', 'wasm'));
  assert.throws(() => edgeMemory(/** @type {any} */ (null)), HalfspaceError);
});
