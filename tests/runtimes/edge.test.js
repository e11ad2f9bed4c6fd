/** The example edge worker in workerd: streams of queries and of text, its memory limit, and what it says of wrong requests. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { buildDemo } from '../../demo/edge/build.js';
import { attend, edgeMemory, Engine, HalfspaceError, HsrIndex, KvCache } from '../../web/edge.js';
import { bruteReport } from '../node/helpers/brute-attention.js';
import { failure } from '../node/helpers/failure.js';
import { randomModel } from '../node/helpers/random-model.js';
import { bytesOf as allOf, takeApart } from '../node/helpers/snapshot-edit.js';
import { uniform } from '../suites/index-and-tree.js';
import { startWorkerd } from './workerd.js';

const [D, KV_HEADS, ROWS] = [64, 2, 4000];
const PROMPT = 'The half-space of a query';
const MB = 1 << 20;
let folder = '';
let url = '';
let idle = 0;
/** @type {Awaited<ReturnType<typeof startWorkerd>>} */
let workerd;
const [KEYS, VALUES] = [1, 2].map((seed) => uniform(seed, ROWS * KV_HEADS * D));
/** More caches than fit. */
const SHELF = 16;
/** The record that is damaged. */
const TORN = 4;
/** What book.cache is a snapshot of. @type {KvCache} */
let book;
let snapshot = new Uint8Array();

/** @param {string} name @param {string | Uint8Array} content */
const put = (name, content) => writeFile(join(folder, 'store', name), content);

/** @param {Float32Array[]} arrays */
const bytesOf = (...arrays) => Buffer.concat(arrays.map((numbers) => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)));

/** @param {Uint8Array} bytes @param {number} record a byte of which is changed */
function damaged(bytes, record) {
  const changed = bytes.slice();
  changed[takeApart(bytes)[record].offset + 100] ^= 1;
  return changed;
}

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
  book = await KvCache.create({ headDim: D, kvHeads: KV_HEADS, type: 'f32', wasm: { variant: 'simd' } });
  book.append({ keys: KEYS, values: VALUES });
  snapshot = await allOf(book.readable());
  await put('book.cache', snapshot);
  for (let i = 0; i < SHELF; i++) await put(`book${i}.cache`, snapshot);
  const index = await HsrIndex.create({ headDim: D, type: 'f32', keys: KEYS, wasm: { variant: 'simd' } });
  await put('book.index', await allOf(index.readable()));
  index.free();
  await put('damaged.cache', damaged(snapshot, TORN));
  await put('text.cache', 'No snapshot is text.');
  workerd = await startWorkerd(folder, ['--directory-path', `store=${join(folder, 'store')}`, '--socket-addr', 'http=127.0.0.1:0']);
  ({ url } = workerd);
  idle = await resident();
});

after(async () => {
  book.free();
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
    const expected = bytesOf(attend(book, query).output);
    let answer = Buffer.alloc(0);
    while (answer.length < expected.length) answer = Buffer.concat([answer, (await answers?.next())?.value]);
    assert.ok(answer.equals(expected), `query ${seed}`);
  }
  sent.end();
  assert.equal((await answers?.next())?.done, true);
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
  const query = uniform(8, KV_HEADS * D);
  const expected = bytesOf(attend(book, query).output);
  const answers = async (/** @type {string} */ name) => {
    const response = await call(`attend/${name}`, bytesOf(query));
    assert.ok(Buffer.from(await response.clone().arrayBuffer()).equals(expected), `${name}: ${response.status} ${await response.text()}`);
  };
  let held = 0;
  for (; (await call(`attend/book${held}`, bytesOf(query))).ok; held++);
  assert.ok(held > 3 && held < SHELF, `${held} caches fit`);
  const error = await refused(call(`attend/book${held}`, bytesOf(query)), 507);
  assert.deepEqual([error.code, error.field, error.limit], ['out-of-memory', 'tokens', 48 * MB]);
  for (let i = 0; i < held; i++) await answers(`book${i}`);
  const used = (await resident()) - idle;
  t.diagnostic(`${(used / MB).toFixed(1)} MB`);
  assert.ok(used > 48 * MB && used < 128 * MB, `${(used / MB).toFixed(1)} MB more than idle`);
});

test('memory is given back', { timeout: 60_000 }, async () => {
  for (let i = 0; i < SHELF; i++) await call(`book${i}`, undefined, 'DELETE');
  assert.equal((await call('book', undefined, 'DELETE')).status, 204);
  assert.equal((await call('book', undefined, 'DELETE')).status, 404);
  assert.equal((await call('attend/book', bytesOf(uniform(8, KV_HEADS * D)))).status, 200);
});

test('wrong requests and wrong files are typed errors', { timeout: 60_000 }, async () => {
  const query = bytesOf(uniform(9, KV_HEADS * D));
  assert.equal((await refused(call('attend/nothing', query), 404)).field, 'nothing.cache');
  assert.equal((await refused(call('report/nothing?b=1', query), 404)).field, 'nothing.index');
  const torn = await refused(call('attend/damaged', query), 502);
  assert.deepEqual([torn.code, torn.field, torn.chunk, torn.offset], ['bad-chunk', 'checksum', TORN, takeApart(snapshot)[TORN].offset]);
  const text = await refused(call('attend/text', query), 502);
  assert.deepEqual([text.code, text.field], ['bad-file', 'magic']);
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
  await put('damaged.cache', snapshot);
  assert.equal((await call('attend/damaged', query)).status, 200);
});

test('a cache comes from any address, and answers on what has arrived', { timeout: 60_000 }, async () => {
  const cut = Math.floor(snapshot.length / 2);
  let release = () => {};
  const server = createServer((request, response) => {
    response.write(snapshot.subarray(0, cut));
    release = () => response.end(snapshot.subarray(cut));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const remote = join(folder, 'remote');
  await buildDemo(remote);
  const config = await readFile(join(remote, 'config.capnp'), 'utf8');
  await writeFile(
    join(remote, 'config.capnp'),
    config.replace('disk = (path = "store")', `external = (address = "127.0.0.1:${port}", http = ())`),
  );
  const other = await startWorkerd(remote, ['--socket-addr', 'http=127.0.0.1:0']);
  try {
    const query = uniform(10, KV_HEADS * D);
    const ask = async () => {
      const response = await fetch(`${other.url}attend/book?arrived`, { method: 'POST', body: bytesOf(query) });
      const answer = Buffer.from(await response.arrayBuffer());
      assert.equal(response.status, 200, answer.toString());
      const positions = answer.readUInt32LE(answer.length - 4);
      const expected = positions > 0 ? attend(book, query, { end: positions, mode: 'dense' }).output : new Float32Array(query.length);
      const output = new Float32Array(new Uint8Array(answer.subarray(0, -4)).buffer);
      assert.ok(
        output.every((x, i) => Math.abs(x - expected[i]) < 1e-4),
        `${positions} positions`,
      );
      return positions;
    };
    let positions = 0;
    while (positions < ROWS / 4) positions = await ask();
    assert.ok(positions < ROWS, 'the rest has not been sent');
    const whole = fetch(`${other.url}attend/book`, { method: 'POST', body: bytesOf(query) });
    release();
    assert.ok(Buffer.from(await (await whole).arrayBuffer()).equals(bytesOf(attend(book, query).output)));
    assert.equal(await ask(), ROWS);
    // What is being filled can be given up, and is refused to who waits for it.
    assert.equal((await fetch(`${other.url}book`, { method: 'DELETE' })).status, 204);
    await ask();
    const waiting = refused(fetch(`${other.url}attend/book`, { method: 'POST', body: bytesOf(query) }), 409);
    await ask();
    assert.equal((await fetch(`${other.url}book`, { method: 'DELETE' })).status, 204);
    assert.equal((await waiting).code, 'aborted');
  } finally {
    server.closeAllConnections();
    server.close();
    await other.close();
  }
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
