/** Byte sources: HTTP with the faults of real connections, files, blobs, memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { openAsBlob } from 'node:fs';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { openSource } from '../../web/bytes/sources.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { seededRandom } from './helpers/random.js';

/** Where a fault would show as waiting without end. */
const TIMEOUT_MS = 120_000;
const random = seededRandom(7);
const BYTES = Uint8Array.from({ length: 3_000_000 }, () => 256 * random());
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-sources-'));
});
after(() => rm(folder, { recursive: true }));

/** @param {AsyncIterable<Uint8Array>} stream @param {(received: number) => void} [onPiece] */
async function collect(stream, onPiece) {
  const all = [];
  let received = 0;
  for await (const piece of stream) {
    all.push(piece.slice());
    received += piece.length;
    onPiece?.(received);
  }
  return Buffer.concat(all);
}

/** @param {Uint8Array} actual @param {number} start @param {number} end */
const assertBytes = (actual, start, end) => assert.ok(Buffer.from(BYTES.subarray(start, end)).equals(actual), `bytes ${start}..${end}`);

/**
 * A server for the length of one test.
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('./helpers/byte-server.js').Served>} [faults]
 */
async function serve(t, faults) {
  const file = { bytes: BYTES, ...faults };
  const server = await serveBytes(file);
  t.after(server.close);
  return { ...server, file };
}

test('a range over HTTP, in pieces', async (t) => {
  const { url, starts } = await serve(t);
  const source = await openSource(url);
  assert.equal(source.size, BYTES.length);
  let pieces = 0;
  assertBytes(await collect(source.stream(1000, 2_000_000), () => pieces++), 1000, 2_001_000);
  assert.ok(pieces > 1);
  assertBytes(await source.read(BYTES.length - 5, 5), BYTES.length - 5, BYTES.length);
  assert.equal((await source.read(7, 0)).length, 0);
  assert.deepEqual(starts, [0, 1000, BYTES.length - 5]);
  await source.close();
});

test('ranges read at the same time do not mix', async (t) => {
  const { url } = await serve(t);
  const source = await openSource(new URL(url));
  const reads = await Promise.all([0, 1_000_000, 500_000].map((offset) => source.read(offset, 1_000_000)));
  [0, 1_000_000, 500_000].forEach((offset, i) => assertBytes(reads[i], offset, offset + 1_000_000));
});

test('a dropped connection is resumed where it broke off', async (t) => {
  const cuts = [1, 65_536, 0, 100_000, 33, 700_001];
  const { url, starts, file } = await serve(t);
  const source = await openSource(url);
  /** Bytes that had arrived when a request came in. @type {number[]} */
  const had = [];
  let received = 0;
  file.cut = () => cuts[had.push(received) - 1] ?? Infinity;
  assertBytes(await collect(source.stream(10, 2_500_000), (n) => (received = n)), 10, 2_500_010);
  assert.equal(had.length, cuts.length + 1);
  assert.deepEqual(
    starts.slice(1),
    had.map((n) => 10 + n),
  );
  assert.ok(new Set(had).size > 2, `${had}: the drops came in the middle`);
});

/**
 * Replaces the timers of the pauses between retries, and only those.
 * @param {import('node:test').TestContext} t
 * @param {(run: () => void, ms: number) => void} onPause
 */
function mockPauses(t, onPause) {
  const real = setTimeout;
  const pauses = [100, 200, 400, 800, 1600];
  const mocked = (/** @type {() => void} */ run, /** @type {number} */ ms) => (pauses.includes(ms) ? onPause(run, ms) : real(run, ms));
  t.mock.method(globalThis, 'setTimeout', mocked);
}

test('retries end when no byte comes, after pauses that double', async (t) => {
  const { url, starts, file } = await serve(t);
  /** @type {number[]} */
  const pauses = [];
  mockPauses(t, (run, ms) => {
    pauses.push(ms);
    setImmediate(run);
  });
  const source = await openSource(url);
  file.cut = (_index, start) => (start === 100 ? 50 : 0);
  await assert.rejects(
    source.read(100, 1000),
    (e) => failure('io', 'offset', 150)(e) && /** @type {import('../../web/index.js').HalfspaceError} */ (e).limit === 5,
  );
  assert.deepEqual(starts.slice(1), [100, 150, 150, 150, 150, 150]);
  assert.deepEqual(pauses, [100, 200, 400, 800, 1600]);
});

test('a file that changes while it is read is refused', async (t) => {
  const { url, file } = await serve(t, { headers: { etag: '"1"' } });
  const source = await openSource(url);
  file.cut = () => {
    file.headers = { etag: '"2"' };
    return 1000;
  };
  await assert.rejects(source.read(0, 5000), failure('io', 'etag', '"2"'));
  file.headers = { etag: '"1"' };
  file.cut = () => Infinity;
  file.bytes = BYTES.subarray(1);
  await assert.rejects(source.read(0, 5000), failure('io', 'content-range', BYTES.length - 1));
});

test('a server that sends another range, or no size, is refused', async (t) => {
  const { url, file } = await serve(t, { headers: { 'content-range': 'bytes 0-0/*' } });
  await assert.rejects(openSource(url), failure('io', 'content-range', 'bytes 0-0/*'));
  file.headers = { 'content-range': 'bytes 0-99/3000000' };
  const source = await openSource(url);
  await assert.rejects(source.read(1, 99), failure('io', 'content-range'));
});

test('a server without ranges: one response read forward, opened again to go back', async (t) => {
  const { url, starts } = await serve(t, { ranges: false });
  const source = await openSource(url);
  assert.equal(source.size, BYTES.length);
  for (const [offset, length] of [
    [0, 24],
    [24, 100_000],
    [500_000, 1_000_000],
  ])
    assertBytes(await source.read(offset, length), offset, offset + length);
  assert.equal(starts.length, 1);
  assertBytes(await source.read(10, 300_000), 10, 300_010);
  assert.equal(starts.length, 2);
  for await (const _piece of source.stream(400_000, 1_000_000)) break;
  assertBytes(await source.read(2_000_000, 1_000_000), 2_000_000, 3_000_000);
  assert.equal(starts.length, 2);
  const streams = [0, 1_000_000].map((offset) => collect(source.stream(offset, 1_000_000)));
  const [low, high] = await Promise.all(streams);
  assertBytes(low, 0, 1_000_000);
  assertBytes(high, 1_000_000, 2_000_000);
  await source.close();
});

test('a server without ranges that drops connections, changes the file, or tells no length', async (t) => {
  const { url, file } = await serve(t, {
    ranges: false,
    headers: { etag: '"1"' },
    cut: (index) => [100_000, 0, 900_000][index] ?? Infinity,
  });
  const source = await openSource(url);
  assertBytes(await source.read(50_000, 2_000_000), 50_000, 2_050_000);
  file.headers = { etag: '"2"' };
  await assert.rejects(source.read(0, 10), failure('io', 'etag'));
  file.chunked = true;
  await assert.rejects(openSource(url), failure('io', 'content-length'));
  file.chunked = false;
  file.headers = { 'content-encoding': 'gzip' };
  await assert.rejects(openSource(url), failure('io', 'content-length'));
});

test('a server that stops answering ranges is refused', async (t) => {
  const { url, file } = await serve(t);
  const source = await openSource(url);
  file.ranges = false;
  await assert.rejects(source.read(5, 10), failure('io', 'status', 200));
  assertBytes(await source.read(0, file.bytes.length), 0, file.bytes.length);
});

test('status and connection failures', async (t) => {
  const { url, file, close } = await serve(t);
  for (const status of [404, 416, 500]) {
    file.status = status;
    await assert.rejects(openSource(url), failure('io', 'status', status));
  }
  file.status = undefined;
  file.bytes = new Uint8Array();
  await assert.rejects(openSource(url), failure('io', 'status', 416));
  await close();
  await assert.rejects(openSource(url), failure('io', 'connection', url));
});

test('abort: before, while a body stalls, while retrying', { timeout: TIMEOUT_MS }, async (t) => {
  await assert.rejects(openSource(BYTES, { signal: AbortSignal.abort() }), failure('aborted'));
  for (const ranges of [true, false]) {
    const { url, starts, file } = await serve(t, { ranges, stall: true, cut: () => 1000 });
    const source = await openSource(url);
    const stalled = new AbortController();
    await assert.rejects(
      collect(source.stream(1, 2_900_000, { signal: stalled.signal }), () => stalled.abort()),
      failure('aborted'),
    );
    const retrying = new AbortController();
    const before_ = starts.length;
    file.cut = () => {
      if (starts.length === before_ + 2) retrying.abort();
      return 0;
    };
    await assert.rejects(source.read(1, 1000, { signal: retrying.signal }), failure('aborted'));
    assert.equal(starts.length, before_ + 2);
    await source.close();
  }
});

test('abort ends a pause between retries', { timeout: TIMEOUT_MS }, async (t) => {
  const { url, starts, file } = await serve(t);
  const source = await openSource(url);
  file.cut = () => 0;
  const controller = new AbortController();
  mockPauses(t, () => setImmediate(() => controller.abort()));
  await assert.rejects(source.read(0, 1000, { signal: controller.signal }), failure('aborted'));
  assert.equal(starts.length, 2);
});

test('a reader that stops early ends the request', { timeout: TIMEOUT_MS }, async (t) => {
  const { url, bodies, file } = await serve(t);
  const source = await openSource(url);
  Object.assign(file, { stall: true, cut: () => 1000 });
  for await (const _piece of source.stream(0, 100_000)) break;
  const body = bodies[1];
  if (!body.closed) await once(body, 'close');
  assert.ok(!body.writableFinished);
});

test('a file', async () => {
  const path = join(folder, 'file');
  await writeFile(path, BYTES);
  const source = await openSource(path);
  assert.equal(source.size, BYTES.length);
  assertBytes(await source.read(12_345, 2_500_000), 12_345, 2_512_345);
  await assert.rejects(source.read(BYTES.length - 1, 2), failure('bad-file', 'size', BYTES.length + 1));
  await assert.rejects(source.read(-1, 2), failure('bad-file', 'size'));
  const controller = new AbortController();
  await assert.rejects(
    collect(source.stream(0, BYTES.length, { signal: controller.signal }), () => controller.abort()),
    failure('aborted'),
  );
  await truncate(path, 2_000_000);
  await assert.rejects(source.read(0, BYTES.length), failure('io', 'length', 2_000_000));
  await source.close();
});

test('paths that cannot be read, and what is no source', async () => {
  const missing = join(folder, 'missing');
  await assert.rejects(openSource(missing), failure('io', 'path', missing));
  const directory = await openSource(folder);
  await assert.rejects(directory.read(0, 1), failure('io', 'read'));
  await directory.close();
  for (const wrong of ['', undefined, 5]) await assert.rejects(openSource(/** @type {any} */ (wrong)), failure('bad-argument', 'source'));
});

test('blobs and bytes', async () => {
  const path = join(folder, 'blob');
  await writeFile(path, BYTES);
  for (const from of [BYTES, BYTES.buffer, new Blob([BYTES]), new File([BYTES], 'name.gguf'), await openAsBlob(path)]) {
    const source = await openSource(from);
    assert.equal(source.size, BYTES.length);
    assertBytes(await source.read(999, 2_000_001), 999, 2_001_000);
    await assert.rejects(source.read(0, BYTES.length + 1), failure('bad-file', 'size'));
    await source.close();
  }
  assert.equal((await openSource(new File([BYTES], 'name.gguf'))).name, 'name.gguf');
  assertBytes(await (await openSource(BYTES.subarray(100, 200))).read(50, 50), 150, 200);
});

test('a blob whose file changed cannot be read', async () => {
  const path = join(folder, 'changing');
  await writeFile(path, BYTES);
  const source = await openSource(await openAsBlob(path));
  await truncate(path, 10);
  await assert.rejects(source.read(0, 100), failure('io', 'read'));
});
