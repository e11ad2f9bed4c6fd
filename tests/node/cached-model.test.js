/** Models by URL kept in a store: resumed, verified, never mixed of two versions. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { cachedModel, Engine, openMemoryStore } from '../../web/index.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';
import { seededRandom } from './helpers/random.js';

const PART = 100_000;
const random = seededRandom(3);
const bytes = (/** @type {number} */ length) => Uint8Array.from({ length }, () => 256 * random());
const FIRST = bytes(1_050_000);
const SECOND = bytes(1_050_000);
const PARTS = 11;
const sha256 = (/** @type {Uint8Array} */ data) => createHash('sha256').update(data).digest('hex');
const ETAG = { etag: '"1"' };

/**
 * A served file and a store, for the length of one test.
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('./helpers/byte-server.js').Served>} [served]
 */
async function setUp(t, served) {
  const file = { bytes: FIRST, headers: ETAG, ...served };
  const { url, starts, close } = await serveBytes(file);
  t.after(close);
  const store = openMemoryStore();
  const get = (/** @type {Partial<import('../../web/stores/cached-model.js').CacheOptions>} */ options = {}) =>
    cachedModel(url, { store, partBytes: PART, ...options });
  /** First bytes of the parts that were asked for since the last call; opening a URL asks for byte 0. */
  const asked = () => starts.splice(0).filter((start, index) => start !== 0 || index > 0);
  return { file, url, store, get, asked, starts };
}

/** @param {import('../../web/bytes/sources.js').ByteSource} source @param {Uint8Array} expected */
async function has(source, expected) {
  assert.equal(source.size, expected.length);
  assert.ok(Buffer.from(await source.read(0, source.size)).equals(expected));
  await source.close();
}

/** Starts of parts. @param {number} first @param {number} [end] */
const partsFrom = (first, end = PARTS) => Array.from({ length: end - first }, (_, i) => (first + i) * PART);

/** Fails from the nth request on, the one that opens the URL included. @param {any} file @param {number} nth */
function failFrom(file, nth) {
  let requests = 0;
  file.cut = () => {
    if (++requests >= nth - 1) file.status = 503;
    return Infinity;
  };
}

/** @param {any} file */
const heal = (file) => Object.assign(file, { status: undefined, cut: undefined });

test('fetched once; then without the network', async (t) => {
  const { url, store, get, asked, file } = await setUp(t);
  /** @type {[number, number][]} */
  const progress = [];
  await has(await get({ onProgress: (...at) => progress.push(at) }), FIRST);
  assert.deepEqual(asked(), partsFrom(0));
  assert.deepEqual(progress.at(-1), [FIRST.length, FIRST.length]);
  assert.ok(progress.every(([done], i) => i === 0 || done > progress[i - 1][0]));
  assert.equal((await store.list()).length, PARTS + 1);
  file.status = 500;
  const source = await get({ sha256: sha256(FIRST) });
  assert.equal(source.name, url);
  for (const [at, length] of [
    [0, 1],
    [PART - 1, 2],
    [PART, PART],
    [12_345, 543_210],
    [1_049_999, 1],
    [7, 0],
  ])
    // prettier-ignore
    assert.ok(Buffer.from(await source.read(at, length)).equals(FIRST.subarray(at, at + length)), `${at} ${length}`);
  await assert.rejects(source.read(FIRST.length, 1), failure('bad-file', 'size'));
  await source.close();
  assert.deepEqual(asked(), []);
});

test('a broken download goes on with the part it was at', async (t) => {
  const { file, store, get, asked } = await setUp(t);
  failFrom(file, 6);
  await assert.rejects(get(), failure('io', 'status', 503));
  assert.deepEqual(asked(), partsFrom(0, 5));
  assert.equal((await store.list()).length, 1 + 4);
  heal(file);
  /** @type {number[]} */
  const progress = [];
  await has(await get({ onProgress: (done) => progress.push(done) }), FIRST);
  assert.deepEqual(asked(), partsFrom(4));
  assert.equal(progress.at(-1), FIRST.length);
});

test('an abort in each part; the next call goes on', async (t) => {
  const { store, get, asked } = await setUp(t);
  await assert.rejects(get({ signal: AbortSignal.abort() }), failure('aborted'));
  for (let part = 0; part < PARTS; part++) {
    const controller = new AbortController();
    const onProgress = (/** @type {number} */ done) => done > part * PART && controller.abort();
    await assert.rejects(get({ signal: controller.signal, onProgress }), failure('aborted'));
    assert.deepEqual(asked(), partsFrom(Math.max(0, part - 1), part + 1), 'what was aborted before, and the next');
    assert.equal((await store.list()).length, 1 + part);
  }
  await has(await get(), FIRST);
});

test('a file that changed between calls is fetched from the start', async (t) => {
  const { file, store, get, asked } = await setUp(t);
  failFrom(file, 6);
  await assert.rejects(get(), failure('io', 'status'));
  asked();
  heal(file);
  Object.assign(file, { bytes: SECOND, headers: { etag: '"2"' } });
  await has(await get(), SECOND);
  assert.deepEqual(asked(), partsFrom(0));
  assert.equal((await store.list()).length, PARTS + 1, 'the parts of the first are gone');
});

for (const [how, second] of /** @type {const} */ ([
  ['other content', SECOND],
  ['longer', bytes(1_200_000)],
  ['shorter', bytes(300_000)],
]))
  // prettier-ignore
  test(`a file that changes while it is fetched is fetched again: ${how}`, async (t) => {
    for (const headers of [{ etag: '"2"' }, {}]) {
      const { file, get } = await setUp(t, { headers: 'etag' in headers || how === 'other content' ? ETAG : {} });
      let requests = 0;
      file.cut = () => {
        if (++requests === 6) Object.assign(file, { bytes: second, headers });
        return Infinity;
      };
      await has(await get(), second);
    }
  });

test('a file that never stays the same is given up', async (t) => {
  const { file, get, starts } = await setUp(t);
  let version = 0;
  file.cut = () => {
    file.headers = { etag: `"${version++}"` };
    return Infinity;
  };
  await assert.rejects(get(), failure('io', 'etag'));
  assert.equal(starts.length, 8, 'four times: opened, one part asked for');
});

test('without a strong ETag parts are used again only where a SHA-256 tells', async (t) => {
  for (const headers of [{}, { etag: 'W/"1"' }]) {
    const { file, get, asked } = await setUp(t, { headers });
    const broken = async (/** @type {string | undefined} */ expected) => {
      failFrom(file, 6);
      await assert.rejects(get({ sha256: expected }), failure('io', 'status'));
      heal(file);
    };
    await broken(undefined);
    asked();
    await broken(undefined);
    assert.deepEqual(asked(), partsFrom(0, 5));
    await has(await get({ sha256: sha256(FIRST) }), FIRST);
    assert.deepEqual(asked(), partsFrom(4));
  }
});

test('parts of another version that only the SHA-256 tells of are fetched again', async (t) => {
  const { file, get, starts } = await setUp(t, { headers: {} });
  failFrom(file, 6);
  await assert.rejects(get(), failure('io', 'status'));
  heal(file);
  file.bytes = SECOND;
  starts.length = 0;
  await has(await get({ sha256: sha256(SECOND) }), SECOND);
  assert.deepEqual(starts, [0, ...partsFrom(4), 0, ...partsFrom(0)]);
});

test('a wrong SHA-256 leaves nothing', async (t) => {
  const { store, get, asked } = await setUp(t);
  await assert.rejects(get({ sha256: sha256(SECOND) }), failure('checksum', 'sha256', sha256(FIRST)));
  assert.deepEqual(asked(), partsFrom(0));
  assert.deepEqual(await store.list(), []);
  for (const wrong of ['', 'abc', 5]) await assert.rejects(get({ sha256: /** @type {any} */ (wrong) }), failure('bad-argument', 'sha256'));
  for (const partBytes of [0, 1.5, -1]) await assert.rejects(get({ partBytes }), failure('bad-argument', 'partBytes'));
});

test('another SHA-256 than that of the stored file fetches anew', async (t) => {
  const { file, get, asked } = await setUp(t);
  await has(await get(), FIRST);
  asked();
  Object.assign(file, { bytes: SECOND, headers: { etag: '"2"' } });
  await has(await get(), FIRST);
  await has(await get({ sha256: sha256(SECOND) }), SECOND);
  assert.deepEqual(asked(), partsFrom(0));
});

test('an evicted part is fetched again, and only that', async (t) => {
  const { store, get, asked } = await setUp(t);
  await has(await get(), FIRST);
  asked();
  const [part] = (await store.list()).filter(({ name }) => name.endsWith('.7'));
  await store.delete(part.name);
  await has(await get(), FIRST);
  assert.deepEqual(asked(), [7 * PART]);
  await store.put(part.name, FIRST.subarray(0, 10));
  await has(await get(), FIRST);
  assert.deepEqual(asked(), [7 * PART]);
});

test('a model larger than the store, or of too many parts', async (t) => {
  const { get, asked } = await setUp(t);
  const small = openMemoryStore({ maxBytes: 1_000_000 });
  await small.put('other', FIRST.subarray(0, 10));
  await assert.rejects(get({ store: small }), failure('quota', 'maxBytes', FIRST.length));
  assert.equal((await small.list()).length, 1, 'nothing is evicted for it');
  await assert.rejects(get({ partBytes: 256 }), failure('quota', 'maxBytes', FIRST.length));
  assert.deepEqual(asked(), [0], 'the URL was opened twice, and nothing fetched');
});

test('calls at the same time fetch once', async (t) => {
  const { get, asked } = await setUp(t);
  const controller = new AbortController();
  const calls = [get(), get(), get({ signal: controller.signal }), get()];
  controller.abort();
  await assert.rejects(calls.splice(2, 1)[0], failure('aborted'));
  for (const source of await Promise.all(calls)) await has(source, FIRST);
  assert.deepEqual(asked(), partsFrom(0));
});

test('a server without ranges', async (t) => {
  const { file, get, starts } = await setUp(t, { ranges: false });
  await has(await get(), FIRST);
  assert.equal(starts.length, 1);
  const again = await setUp(t, { ranges: false });
  const controller = new AbortController();
  await assert.rejects(
    again.get({ signal: controller.signal, onProgress: (done) => done > 5 * PART && controller.abort() }),
    failure('aborted'),
  );
  await has(await again.get(), FIRST);
  assert.equal(again.starts.length, 2);
  assert.equal(file.bytes, FIRST);
});

test('what is stored under the name of a record, and is none', async (t) => {
  const { store, get } = await setUp(t);
  await has(await get(), FIRST);
  const [{ name }] = await store.list();
  await store.put(name, new TextEncoder().encode('{"format":2}'));
  await has(await get(), FIRST);
});

test('engines load what a store opened, and close it', async (t) => {
  const model = randomModel({ arch: 'llama' });
  const { store, get } = await setUp(t, { bytes: model });
  await store.put('model.gguf', model);
  const logits = [];
  for (const source of [await get(), await store.open('model.gguf'), model]) {
    let closed = 0;
    const counted = source instanceof Uint8Array ? source : { ...source, close: async () => void closed++ };
    const engine = await Engine.load(counted, { variant: 'simd' });
    logits.push(await engine.logits([1, 5, 9]));
    engine.close();
    assert.equal(closed, source === model ? 0 : 1);
  }
  assert.deepEqual(logits[0], logits[2]);
  assert.deepEqual(logits[1], logits[2]);
});
