/** Caches as streams: answers on what has arrived, memory, every kind of damage, aborts, additions, and queries as a stream. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { attend, ChunkError, HsrIndex, KvCache, verifySnapshot } from '../../web/attention.js';
import { TYPES } from '../../web/snapshot/format.js';
import { bruteAttention, softmax } from './helpers/brute-attention.js';
import { failure } from './helpers/failure.js';
import { bytesOf, inPieces, putTogether, takeApart, withHeader } from './helpers/snapshot-edit.js';
import { clustered, distance, gaussian } from './helpers/vectors.js';

const D = 64;
const HEADS = 2;
const SHAPE = { headDim: D, kvHeads: HEADS };

/** @param {number} seed @param {number} n */
const rows = (seed, n) => ({ keys: clustered(seed, n * HEADS, D), values: gaussian(seed + 1, n * HEADS * D) });

/** @param {number} n @param {Partial<import('../../web/attention/handle.js').Shape>} [shape] */
async function filled(n, shape = {}) {
  const cache = await KvCache.create({ ...SHAPE, ...shape });
  cache.append(rows(1, n));
  return cache;
}

/** @type {import('../../web/attention/attend.js').AttendOptions[]} */
const WAYS = [
  { mode: 'dense' },
  { denseBelow: 0, denseAbove: 1, theta: 0.01 },
  { strength: 'certified', eps: 0.2, denseBelow: 0 },
  { strength: 'exact', r: 20, denseBelow: 0 },
  { mode: 'relu', b: 0.5 },
];

/** @param {KvCache} a @param {KvCache} b */
function assertSame(a, b) {
  const queries = gaussian(77, 4 * D);
  assert.deepEqual([a.length, a.size], [b.length, b.size]);
  for (const way of WAYS.filter(({ r = 0 }) => r <= a.size))
    assert.deepEqual(attend(a, queries, way).output, attend(b, queries, way).output, JSON.stringify(way));
}

/** A piece per record. @param {Uint8Array} bytes @returns {Uint8Array[]} */
function byRecord(bytes) {
  const cuts = [0, ...takeApart(bytes).map(({ offset }) => offset), bytes.length];
  return cuts.slice(1).map((end, i) => bytes.slice(cuts[i], end));
}

for (const type of /** @type {const} */ (['q8', 'f32'])) {
  test(`${type}: a cache is read and filled as a stream, with keys removed, and grows alike`, async () => {
    for (const [n, remove, maxChunk] of /** @type {[number, [number, number][], number][]} */ ([
      [0, [], 1024],
      [5, [], 1024],
      [700, [[3, 9]], 128],
      [3000, [[16, 1300], [2000, 2100]], 1024], // prettier-ignore
    ])) {
      const [cache, copy] = [await filled(n, { type, maxChunk }), await KvCache.create({ ...SHAPE, type, maxChunk })];
      for (const [from, to] of remove) cache.remove(from, to);
      await cache.readable().pipeTo(copy.writable());
      assertSame(cache, copy);
      const bytes = await bytesOf(copy.readable());
      assert.deepEqual(bytes, await bytesOf(cache.readable()));
      assert.equal(copy.saved?.hash, (await verifySnapshot(bytes)).info.hash);
      for (const each of [cache, copy]) each.append(rows(9, 400));
      assertSame(cache, copy);
      assert.equal(copy.saved, undefined);
      for (const each of [cache, copy]) each.truncate(Math.floor(each.length / 2));
      assertSame(cache, copy);
      cache.free();
      copy.free();
    }
  });
}

test('queries are answered before the last chunk has come, and memory stays within the cache and two chunks', async () => {
  const cache = await filled(5000);
  const bytes = await bytesOf(cache.readable());
  const pieces = byRecord(bytes);
  const chunk = Math.max(...pieces.map((piece) => piece.length));
  const copy = await KvCache.create(SHAPE);
  const queries = gaussian(5, 2 * D);
  attend(cache, queries);
  const before = copy.core.used();
  const writer = copy.writable().getWriter();
  let answered = 0;
  let most = 0;
  for (const [i, piece] of pieces.entries()) {
    await writer.write(piece);
    most = Math.max(most, copy.core.used());
    if (copy.length === 0 || i === pieces.length - 1) continue;
    const { output } = attend(copy, queries, { mode: 'dense' });
    const expected = bruteAttention(copy, queries, {}, softmax);
    assert.ok(distance(output, expected) < 5e-3);
    answered++;
  }
  await writer.close();
  assert.ok(answered > 10, `${answered} answers`);
  assertSame(cache, copy);
  const grown = copy.memoryBytes;
  assert.ok(most - before <= grown + 2 * chunk, `${most - before} bytes at most, the cache has ${grown}, a chunk ${chunk}`);
});

test('pieces of any length, and back-pressure: what is not asked for is not made', async () => {
  const cache = await filled(900);
  const bytes = await bytesOf(cache.readable());
  for (const size of [1, 47, 1 << 16, 1 << 30]) {
    const copy = await KvCache.create(SHAPE);
    const short = size === 1 ? await bytesOf((await filled(20)).readable()) : bytes;
    await inPieces(short, size).pipeTo(copy.writable());
    if (size > 1) assertSame(cache, copy);
    copy.free();
  }
  let made = 0;
  const source = new ReadableStream(
    {
      pull(controller) {
        made++;
        controller.enqueue(bytes.slice(0, 10));
      },
    },
    { highWaterMark: 0 },
  );
  const copy = await KvCache.create(SHAPE);
  const writer = copy.writable().getWriter();
  assert.equal(writer.desiredSize, 1);
  const writing = writer.write(bytes);
  assert.equal(writer.desiredSize, 0, 'a second piece has to wait');
  await writing;
  assert.equal(writer.desiredSize, 1);
  const reader = source.getReader();
  await reader.read();
  assert.equal(made, 1);
  const { core } = cache;
  const used = core.used();
  const stream = cache.readable();
  assert.ok(core.used() - used < 200, 'nothing is staged before it is read');
  await stream.cancel();
  assert.equal(core.used(), used);
});

/** Keys at positions whose every KV head has come with the first n records. @param {ReturnType<typeof takeApart>} parts @param {number} n */
function arrived(parts, n) {
  const last = parts.slice(0, n).findLast(({ head }) => head.type === TYPES.chunk && head.kvHead === HEADS - 1);
  return last ? last.head.first + last.head.keys : 0;
}

test('what is missing, repeated, reordered, cut or changed names its record and byte; what was verified stays', async () => {
  const cache = await filled(1500);
  const bytes = await bytesOf(cache.readable());
  const parts = takeApart(bytes);
  const pieces = byRecord(bytes);
  const renumbered = (/** @type {typeof parts} */ edited) => putTogether(bytes, edited);
  for (let n = 0; n < parts.length; n++) {
    const flipped = bytes.slice();
    flipped[parts[n].offset + 48 + ((7 * n) % parts[n].payload.length)] ^= 4;
    const cut = bytes.slice(0, parts[n].offset + 50);
    /** @type {[string, Uint8Array][]} */
    const damaged = [
      ['checksum', flipped],
      ['length', cut],
    ];
    if (n > 0 && n < parts.length - 1) {
      damaged.push(['index', new Uint8Array(Buffer.concat(pieces.toSpliced(n + 1, 1)))]);
      damaged.push(['index', new Uint8Array(Buffer.concat(pieces.toSpliced(n + 1, 0, pieces[n])))]);
      damaged.push(['index', new Uint8Array(Buffer.concat(pieces.with(n + 1, pieces[n + 2]).with(n + 2, pieces[n + 1])))]);
      damaged.push(['place', await renumbered(parts.toSpliced(n, 1))]);
    }
    for (const [field, file] of damaged) {
      const copy = await KvCache.create(SHAPE);
      /** @type {any} */
      const error = await inPieces(file, 5000)
        .pipeTo(copy.writable())
        .then(assert.fail, (e) => e);
      assert.ok(error instanceof ChunkError && error.field === field, `record ${n}, ${field}: ${error}`);
      assert.ok(error.chunk === n && error.offset === parts[n].offset, `record ${n}, ${field}: ${error}`);
      assert.equal(copy.length, arrived(parts, n));
      if (copy.length > 0) {
        assert.deepEqual(copy.key(copy.length - 1, 1), cache.key(copy.length - 1, 1));
        copy.append(rows(3, 200));
        attend(copy, gaussian(4, 2 * D), { denseBelow: 0 });
        copy.truncate(0);
      }
      await inPieces(bytes, 5000).pipeTo(copy.writable());
      assertSame(cache, copy);
      copy.free();
    }
  }
});

test('an abort after any chunk leaves the cache usable, and no other memory', async () => {
  const cache = await filled(1500);
  const pieces = byRecord(await bytesOf(cache.readable()));
  const parts = takeApart(await bytesOf(cache.readable()));
  const { core } = cache;
  for (let n = 0; n <= pieces.length; n++) {
    const used = core.used();
    const copy = await KvCache.create(SHAPE);
    const abort = new AbortController();
    const writer = copy.writable({ signal: abort.signal }).getWriter();
    for (const piece of pieces.slice(0, n)) await writer.write(piece);
    abort.abort();
    await assert.rejects(writer.write(new Uint8Array(1)), failure('aborted'));
    await assert.rejects(writer.closed, failure('aborted'));
    assert.equal(core.used() - used, copy.memoryBytes, `${n} records`);
    assert.equal(copy.length, arrived(parts, Math.max(0, n - 1)));
    if (copy.length > 0) attend(copy, gaussian(4, 2 * D));
    copy.free();
    const other = await KvCache.create(SHAPE);
    const aborted = other.writable().getWriter();
    for (const piece of pieces.slice(0, n)) await aborted.write(piece);
    await aborted.abort(new Error('enough'));
    other.free();
    const stopped = new AbortController();
    const reader = cache.readable({ signal: stopped.signal }).getReader();
    for (let i = 0; i < n; i++) await reader.read();
    stopped.abort();
    await assert.rejects(reader.read(), failure('aborted'));
    assert.equal(core.used(), used);
  }
  assert.throws(() => cache.readable({ signal: AbortSignal.abort() }), failure('aborted'));
  assert.throws(() => cache.writable({ signal: AbortSignal.abort() }), failure('aborted'));
  assert.throws(() => cache.attendStream({ signal: AbortSignal.abort() }), failure('aborted'));
});

test('an addition holds what changed: keys appended, removed and cut', async () => {
  const [cache, copy] = [await filled(2000), await KvCache.create(SHAPE)];
  await cache.readable().pipeTo(copy.writable());
  /** @type {((cache: KvCache) => void)[]} */
  const changes = [
    (c) => c.append(rows(20, 30)),
    (c) => c.append(rows(21, 2500)),
    (c) => c.remove(100, 120),
    (c) => c.truncate(1500),
    () => {},
  ];
  const files = [await bytesOf(cache.readable())];
  let since = cache.saved;
  for (const change of changes) {
    change(cache);
    const added = await bytesOf(cache.readable({ since, onInfo: (info) => (since = info) }));
    files.push(added);
    const whole = await bytesOf(cache.readable());
    assert.ok(added.length < whole.length, `${added.length} of ${whole.length}`);
    let least = Infinity;
    const writer = copy.writable().getWriter();
    for (const piece of byRecord(added)) {
      await writer.write(piece);
      least = Math.min(least, copy.length);
      attend(copy, gaussian(4, 2 * D), { denseBelow: 0 });
    }
    await writer.close();
    assert.ok(least >= 1000, 'keys that stay are there all the time');
    assertSame(cache, copy);
    assert.equal(copy.saved?.hash, since?.hash);
  }
  assert.deepEqual(await bytesOf(copy.readable()), await bytesOf(cache.readable()));
  assert.equal((await verifySnapshot(files)).info.header.tokens, cache.length);
  const strange = await KvCache.create(SHAPE);
  await assert.rejects(inPieces(files[1], 9000).pipeTo(strange.writable()), failure('bad-argument', 'base'));
  await assert.rejects(inPieces(files[0], 9000).pipeTo(copy.writable()), failure('bad-argument', 'base'));
});

test('a cache of another shape, one that is not empty or changes meanwhile, is named', async () => {
  const cache = await filled(600);
  const bytes = await bytesOf(cache.readable());
  for (const [field, shape] of /** @type {const} */ ([
    ['shape.headDim', { headDim: 128 }],
    ['shape.kvHeads', { kvHeads: 3 }],
    ['kv', { type: 'f32' }],
    ['index.maxChunk', { maxChunk: 128 }],
  ])) {
    const other = await KvCache.create({ ...SHAPE, ...shape });
    const used = other.core.used();
    await assert.rejects(inPieces(bytes, 9000).pipeTo(other.writable()), failure('bad-argument', field));
    assert.deepEqual([other.length, other.core.used()], [0, used]);
    other.free();
  }
  await assert.rejects(inPieces(bytes, 9000).pipeTo((await filled(10)).writable()), failure('bad-argument', 'cache'));
  const changing = await KvCache.create(SHAPE);
  const writer = changing.writable().getWriter();
  await writer.write(bytes.slice(0, 30_000));
  changing.append(rows(4, 1));
  await assert.rejects(writer.write(bytes.slice(30_000)), failure('bad-chunk', 'content'));
  const reader = cache.readable().getReader();
  await reader.read();
  cache.append(rows(4, 1));
  await assert.rejects(
    async () => {
      while (!(await reader.read()).done);
    },
    failure('bad-argument', 'cache'),
  );
  const lied = await withHeader(bytes, (header) => (header.tokens = header.layout[0][0][1] = 2 ** 24));
  await assert.rejects(inPieces(lied, 9000).pipeTo((await KvCache.create(SHAPE)).writable()), failure('out-of-memory'));
  await assert.rejects(
    new ReadableStream({ start: (c) => c.enqueue('text') }).pipeTo((await KvCache.create(SHAPE)).writable()),
    failure('bad-argument', 'piece'),
  );
});

for (const type of /** @type {const} */ (['q8', 'f32'])) {
  test(`${type}: an index is a stream as well, and reports what has arrived`, async () => {
    const index = await HsrIndex.create({ headDim: D, type, keys: clustered(6, 4000, D) });
    index.remove(16, 1100);
    index.remove(2000, 2040);
    const bytes = await bytesOf(index.readable());
    const copy = await HsrIndex.create({ headDim: D, type });
    const query = gaussian(8, D);
    const writer = copy.writable().getWriter();
    const lengths = new Set();
    for (const piece of byRecord(bytes)) {
      await writer.write(piece);
      lengths.add(copy.length);
      const wanted = index.report(query, 2);
      const seen = wanted.positions.filter((position) => position < copy.length);
      assert.deepEqual([...copy.report(query, 2).positions], [...seen]);
    }
    await writer.close();
    assert.ok(lengths.size > 5, `${lengths.size} states`);
    for (const strategy of /** @type {const} */ (['auto', 'brute', 'screen', 'tree'])) {
      const [found, expected] = [copy, index].map((each) => each.top(query, 50, { strategy }));
      assert.deepEqual([found.positions, found.products], [expected.positions, expected.products]);
    }
    const since = copy.saved;
    for (const each of [index, copy]) each.append(gaussian(3, 300 * D));
    assert.deepEqual([copy.length, copy.size, copy.key(4100)], [index.length, index.size, index.key(4100)]);
    const added = await bytesOf(index.readable({ since }));
    assert.ok(added.length < bytes.length / 2);
    const third = await HsrIndex.create({ headDim: D, type });
    for (const file of [bytes, added]) await inPieces(file, 7000).pipeTo(third.writable());
    assert.deepEqual(third.top(query, 50).products, index.top(query, 50).products);
    const cache = await KvCache.create({ headDim: D, type });
    await assert.rejects(inPieces(bytes, 7000).pipeTo(cache.writable()), failure('bad-argument', 'kind', 'index'));
  });
}

test('queries are a stream too', async () => {
  const cache = await filled(800);
  const queries = [1, 2, 3].map((seed) => gaussian(seed, 4 * D));
  const results = [];
  const stream = new ReadableStream({
    start(controller) {
      for (const query of queries) controller.enqueue(query);
      controller.close();
    },
  });
  for await (const result of stream.pipeThrough(cache.attendStream({ mode: 'dense' }))) results.push(result);
  assert.deepEqual(
    results.map(({ output }) => output),
    queries.map((query) => attend(cache, query, { mode: 'dense' }).output),
  );
  assert.equal(results[0].stats.keysVisible, 800 * HEADS);
  const abort = new AbortController();
  const { readable, writable } = cache.attendStream({ signal: abort.signal });
  const writer = writable.getWriter();
  const reader = readable.getReader();
  void writer.write(queries[0]);
  assert.equal((await reader.read()).value?.output.length, 4 * D);
  abort.abort();
  await assert.rejects(reader.read(), failure('aborted'));
  await assert.rejects(writer.write(queries[1]), failure('aborted'));
  const bad = cache.attendStream();
  const wrong = bad.writable.getWriter();
  const failing = wrong.write(new Float32Array(3)).catch((e) => e);
  await assert.rejects(bad.readable.getReader().read(), failure('bad-argument', 'queries'));
  await failing;
  assert.equal(attend(cache, queries[0]).stats.queries, 4);
});
