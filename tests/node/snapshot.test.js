/** Snapshots of the engine's contexts: bit by bit what was saved, in any runtime, in parts; and nothing but typed errors otherwise. */
import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { relaxedSimd } from 'wasm-feature-detect';

import { ChunkError, Engine, inspectSnapshot, verifySnapshot } from '../../web/index.js';
import { TYPES } from '../../web/snapshot/format.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { logitsOf } from './helpers/logits.js';
import { randomModel } from './helpers/random-model.js';
import { bytesOf, inPieces, putTogether, takeApart, withHeader } from './helpers/snapshot-edit.js';

const CTX = 8192;
const model = (/** @type {'llama' | 'gemma3'} */ arch, metadata = {}) =>
  randomModel({ arch, metadata: { context_length: CTX, ...metadata } });
const LLAMA = model('llama');

/** @param {number} n @param {number} [seed] */
const ids = (n, seed = 0) => Array.from({ length: n }, (_, i) => 3 + ((i * 7919 + seed * 104_729 + ((i * i) % 89)) % 280));

/** Attention that looks into leaves, in contexts this short. */
const FAST = /** @type {const} */ ({ denseBelow: 0, denseAbove: 1, theta: 0.01 });

/** @param {Engine} engine @param {import('../../web/index.js').Prefix} prefix @param {import('../../web/engine.js').Attention} [attention] */
const logitsAfter = (engine, prefix, attention = FAST) => logitsOf(engine, prefix, attention);

/** Prefixes of which each continues the one before. @param {Engine} engine @param {number} first tokens of the first */
async function chain(engine, first) {
  const prefixes = [await engine.prefill(ids(first), { attention: FAST })];
  for (const [n, seed] of [
    [300, 1],
    [20, 2],
    [400, 3],
  ])
    prefixes.push(await engine.prefill(ids(n, seed), { prefix: prefixes[prefixes.length - 1], attention: FAST }));
  return prefixes;
}

for (const [arch, kv] of /** @type {const} */ ([
  ['llama', 'q8'],
  ['llama', 'f32'],
  ['gemma3', 'q8'],
])) {
  test(`${arch}, ${kv}: a chain of prefixes is resumed bit by bit, whole and as what each added`, async () => {
    const engine = await Engine.load(arch === 'llama' ? LLAMA : model('gemma3'), { kv });
    const first = arch === 'llama' ? 1500 : 500;
    const prefixes = await chain(engine, first);
    const last = prefixes[prefixes.length - 1];
    const whole = await bytesOf(last.snapshot());
    await logitsAfter(engine, last);
    const baseline = engine.info.memoryBytes;
    const back = await engine.resume(whole);
    assert.deepEqual([back.length, back.ids], [first + 720, [...ids(first), ...ids(300, 1), ...ids(20, 2), ...ids(400, 3)]]);
    for (const attention of /** @type {const} */ ([FAST, 'dense', { ...FAST, strength: 'certified', eps: 0.3, theta: undefined }]))
      assert.equal(await logitsAfter(engine, back, attention), await logitsAfter(engine, last, attention));
    assert.deepEqual(await bytesOf(back.snapshot()), whole, 'it is saved as it was');
    back.free();
    assert.equal(engine.info.memoryBytes, baseline);

    /** @type {import('../../web/snapshot/reader.js').SnapshotInfo | undefined} */
    let since;
    const files = [];
    for (const prefix of prefixes) {
      /** @type {any} */
      let info;
      files.push(
        await bytesOf(prefix.snapshot({ since: JSON.parse(JSON.stringify(since ?? null)) ?? undefined, onInfo: (i) => (info = i) })),
      );
      assert.equal(info.bytes, files[files.length - 1].length);
      since = info;
    }
    assert.ok(files[1].length < 0.6 * (await bytesOf(prefixes[1].snapshot())).length, 'only what is new is saved');
    for (let n = 1; n <= files.length; n++) {
      const resumed = await engine.resume(files.slice(0, n));
      assert.equal(await logitsAfter(engine, resumed), await logitsAfter(engine, prefixes[n - 1]));
      assert.deepEqual(await bytesOf(resumed.snapshot()), await bytesOf(prefixes[n - 1].snapshot()));
      resumed.free();
    }
    assert.equal(engine.info.memoryBytes, baseline);
    engine.close();
  });
}

test('one prefix forks into conversations, before and after it was saved', async () => {
  const engine = await Engine.load(LLAMA);
  const root = await engine.prefill(ids(700), { attention: FAST });
  const back = await engine.resume(await bytesOf(root.snapshot()));
  const forks = async (/** @type {typeof root} */ prefix) => {
    const both = [
      await engine.prefill(ids(90, 1), { prefix, attention: FAST }),
      await engine.prefill(ids(200, 2), { prefix, attention: FAST }),
    ];
    const logits = [await logitsAfter(engine, prefix), await logitsAfter(engine, both[0]), await logitsAfter(engine, both[1])];
    both.forEach((fork) => fork.free());
    return logits;
  };
  const [live, resumed] = [await forks(root), await forks(back)];
  assert.deepEqual(resumed, live);
  assert.equal(new Set(live).size, 3);
  await assert.rejects(engine.prefill(ids(CTX - 700 + 1), { prefix: root }), failure('context-full', 'prompt'));
  root.free();
  await assert.rejects(engine.prefill(ids(5), { prefix: root }), failure('closed', 'prefix'));
  assert.throws(() => root.snapshot(), failure('closed', 'prefix'));
  engine.close();
});

test('threads and builds do not matter: the caches are the same bytes', async (t) => {
  const engine = await Engine.load(LLAMA, { variant: 'simd' });
  const prefix = await engine.prefill(ids(1300), { attention: FAST });
  const bytes = await bytesOf(prefix.snapshot());
  const builds = /** @type {('simd' | 'relaxed')[]} */ ((await relaxedSimd()) ? ['simd', 'relaxed'] : ['simd']);
  t.diagnostic(`builds: ${builds.join(', ')}`);
  for (const variant of builds) {
    const other = await Engine.load(LLAMA, { variant, threads: 2 });
    const back = await other.resume(bytes);
    assert.deepEqual(await bytesOf(back.snapshot()), bytes);
    if (variant === 'simd') assert.equal(await logitsAfter(other, back), await logitsAfter(engine, prefix));
    other.close();
  }
  engine.close();
});

test('sources: bytes, Blob, path, URL, and streams in pieces of any length', async () => {
  const engine = await Engine.load(LLAMA);
  const prefix = await engine.prefill(ids(400));
  const bytes = await bytesOf(prefix.snapshot());
  const path = join(await mkdtemp(join(tmpdir(), 'halfspace-')), 'snapshot');
  await writeFile(path, bytes);
  const server = await serveBytes({ bytes });
  /** @type {[number, number | undefined][]} */
  const seen = [];
  const sources = [bytes, new Blob([bytes]), path, server.url, inPieces(bytes, 47), inPieces(bytes, 50_000), inPieces(bytes, 1 << 30)];
  for (const source of sources) {
    const back = await engine.resume(source, { onProgress: (done, total) => seen.push([done, total]) });
    assert.equal(await logitsAfter(engine, back), await logitsAfter(engine, prefix));
    back.free();
  }
  assert.deepEqual(seen[seen.length - 1], [bytes.length, undefined]);
  assert.ok(seen.some(([done, total]) => done === bytes.length && total === bytes.length));
  const { hash } = (await verifySnapshot(bytes)).info;
  assert.equal(hash, (await verifySnapshot(path)).info.hash);
  assert.equal((await inspectSnapshot(inPieces(bytes, 100))).tokens, 400);
  await assert.rejects(engine.resume([]), failure('bad-argument', 'source'));
  await assert.rejects(
    engine.resume(/** @type {any} */ (new ReadableStream({ start: (c) => c.enqueue('text') }))),
    failure('bad-argument', 'source'),
  );
  await server.close();
  engine.close();
});

test('another model, KV type, RoPE, version, or base is named', async () => {
  const engine = await Engine.load(LLAMA);
  const prefix = await engine.prefill(ids(300));
  /** @type {any} */
  let info;
  const bytes = await bytesOf(prefix.snapshot({ onInfo: (i) => (info = i) }));
  const next = await engine.prefill(ids(10, 1), { prefix });
  const added = await bytesOf(next.snapshot({ since: info }));
  const { fingerprint } = engine.config;
  const cases = /** @type {[Buffer, import('../../web/engine.js').EngineOptions, string, unknown, unknown][]} */ ([
    [model('llama', { 'attention.layer_norm_rms_epsilon': 2e-5 }), {}, 'model', fingerprint, undefined],
    [LLAMA, { kv: 'f32' }, 'kv', 'q8', 'f32'],
    [LLAMA, { rope: { theta: 5000 } }, 'rope.theta', 10000.5, 5000],
    [LLAMA, { rope: { scaling: 'linear', factor: 2 } }, 'rope.scaling', 0, 1],
  ]);
  for (const [file, options, field, value, limit] of cases) {
    const other = await Engine.load(file, options);
    const { memoryBytes } = other.info;
    /** @type {any} */
    const error = await other.resume(bytes).then(assert.fail, (e) => e);
    assert.ok(failure('bad-argument', field, value)(error), `${field}: ${error}`);
    if (limit !== undefined) assert.equal(error.limit, limit);
    assert.equal(other.info.memoryBytes, memoryBytes);
    other.close();
  }
  const { memoryBytes } = engine.info;
  const version = bytes.slice();
  version[8] = 2;
  await assert.rejects(engine.resume(version), failure('unsupported', 'version', 2));
  await assert.rejects(engine.resume(new Uint8Array(LLAMA)), failure('bad-file', 'magic'));
  await assert.rejects(engine.resume(bytes, { ctx: 299 }), failure('context-full', 'prompt', 300));
  await assert.rejects(engine.resume(added), failure('bad-argument', 'base', info.hash));
  await assert.rejects(engine.resume([bytes, bytes]), failure('bad-argument', 'base', null));
  await assert.rejects(engine.resume([bytes, added, added]), failure('bad-argument', 'base', info.hash));
  assert.throws(() => prefix.snapshot({ since: { ...info, header: { ...info.header, kv: 'f32' } } }), failure('bad-argument', 'since'));
  const edits = /** @type {[string, (header: any) => void][]} */ ([
    ['kind', (h) => (h.kind = 'other')],
    ['tokens', (h) => (h.tokens = 2 ** 20 + 1)],
    ['shape.headDim', (h) => (h.shape.headDim = 63)],
    ['shape.headDim', (h) => (h.shape.headDim = 20)],
    ['shape.layers', (h) => delete h.shape],
    ['index.leaf', (h) => (h.index.leaf = 8)],
    ['index.maxChunk', (h) => (h.index.maxChunk = 256)],
    ['layout', (h) => (h.layout[0] = [[256, 300.5]])],
    ['layout', (h) => (h.layout[0] = [[256, 301]])],
    ['layout', (h) => (h.layout[1] = [[256, 299]])],
    ['layout', (h) => (h.layout[1] = [[100, 300]])],
    ['layout', (h) => (h.layout[0] = [])],
    ['layout', (h) => h.layout.pop()],
    ['valueNorms', (h) => (h.valueNorms[0] = null)],
    ['valueNorms', (h) => h.valueNorms.push(1)],
    ['model', (h) => (h.model = 'abc')],
    ['rope', (h) => (h.rope = null)],
  ]);
  for (const [field, edit] of edits) await assert.rejects(engine.resume(await withHeader(bytes, edit)), failure('bad-file', field), field);
  // Unsealed keys that a continuation would copy can only be in the last part.
  const early = await withHeader(bytes, (h) => (h.layout[0] = [[0, 100], [128, 200]])); // prettier-ignore
  await assert.rejects(engine.resume(early), failure('bad-argument', 'layout'));
  const larger = await withHeader(bytes, (h) => (h.index.maxChunk = 8192));
  await assert.rejects(engine.resume(larger), failure('bad-argument', 'index.maxChunk', 8192));
  assert.equal(engine.info.memoryBytes, memoryBytes);
  assert.equal(await logitsAfter(engine, await engine.resume([bytes, added])), await logitsAfter(engine, next));
  engine.close();
});

test('damage anywhere is a typed error, and leaves nothing behind', async () => {
  const engine = await Engine.load(LLAMA);
  const prefix = await engine.prefill(ids(350));
  const bytes = await bytesOf(prefix.snapshot());
  await logitsAfter(engine, prefix);
  const parts = takeApart(bytes);
  const { memoryBytes } = engine.info;
  const codes = new Set();
  for (const [n, { offset, payload }] of parts.entries()) {
    for (const at of [0, 4, 8, 13, 20, 24, 33, 45, 48, 48 + (payload.length >> 1), 47 + payload.length]) {
      const bad = bytes.slice();
      bad[offset + at] ^= 1 << ((n + at) % 8);
      /** @type {any} */
      const error = await engine.resume(bad).then(assert.fail, (e) => e);
      assert.ok(error instanceof ChunkError && error.chunk === n && error.offset === offset, `record ${n}, byte ${at}: ${error}`);
      codes.add(error.field);
    }
    for (const length of [offset, offset + 20, offset + 48 + (payload.length >> 1)]) {
      /** @type {any} */
      const error = await engine.resume(bytes.slice(0, length)).then(assert.fail, (e) => e);
      assert.ok(
        error instanceof ChunkError && error.chunk === n && error.offset === offset && error.value === length,
        `${length}: ${error}`,
      );
    }
  }
  assert.ok(codes.has('checksum'));
  await assert.rejects(engine.resume(new Uint8Array([...bytes, 0])), failure('bad-chunk', 'length'));
  await assert.rejects(engine.resume(new Uint8Array()), failure('bad-chunk', 'length', 0));
  assert.equal(engine.info.memoryBytes, memoryBytes);
  assert.equal(await logitsAfter(engine, await engine.resume(bytes)), await logitsAfter(engine, prefix));
  engine.close();
});

test('records with right checksums in wrong places, or of wrong content, are refused too', async () => {
  const engine = await Engine.load(LLAMA);
  const prefix = await engine.prefill(ids(350));
  const bytes = await bytesOf(prefix.snapshot());
  const parts = takeApart(bytes);
  const { memoryBytes } = engine.info;
  const sealed = parts.findIndex(({ head }) => head.sealed);
  const edited = (
    /** @type {(parts: import('./helpers/snapshot-edit.js').Part[]) => import('./helpers/snapshot-edit.js').Part[]} */ edit,
  ) => putTogether(bytes, edit(takeApart(bytes)));
  const change = (/** @type {number} */ n, /** @type {Partial<import('../../web/snapshot/format.js').Head>} */ head) =>
    edited((all) => all.with(n, { ...all[n], head: { ...all[n].head, ...head } }));
  const fill = (/** @type {number} */ n, /** @type {number} */ byte) =>
    edited((all) => all.with(n, { ...all[n], payload: all[n].payload.fill(byte) }));
  const cases = /** @type {[string, string, number, Promise<Uint8Array>][]} */ ([
    ['missing', 'place', 4, edited((all) => all.toSpliced(4, 1))],
    ['repeated', 'place', 5, edited((all) => all.toSpliced(4, 0, all[4]))],
    ['reordered', 'place', 4, edited((all) => all.with(4, all[5]).with(5, all[4]))],
    ['no trailer', 'length', parts.length - 1, edited((all) => all.slice(0, -1))],
    ['early trailer', 'place', parts.length - 2, edited((all) => all.toSpliced(-2, 1))],
    ['no tokens', 'type', 1, edited((all) => all.toSpliced(1, 1))],
    ['two headers', 'type', 1, edited((all) => all.toSpliced(0, 0, all[0]))],
    ['unknown type', 'type', 4, change(4, { type: 9 })],
    ['another layer', 'place', 4, change(4, { layer: 200 })],
    ['another KV head', 'place', 4, change(4, { kvHead: 77 })],
    ['another position', 'place', 4, change(4, { position: 1 })],
    ['too many keys', 'length', sealed, change(sealed, { keys: 2 ** 31 })],
    ['keys of another number', 'length', sealed, change(sealed, { keys: 1024 })],
    ['places twice', 'content', sealed, fill(sealed, 0)],
    ['no numbers', 'content', sealed, fill(sealed, 0xff)],
    ['a removed key', 'content', 2, fill(2, 0)],
  ]);
  for (const [name, field, chunk, file] of cases) {
    /** @type {any} */
    const error = await engine.resume(await file).then(assert.fail, (e) => e);
    assert.ok(failure('bad-chunk', field)(error) && error.chunk === chunk, `${name}: ${error}`);
    assert.equal(engine.info.memoryBytes, memoryBytes, name);
  }
  assert.equal(parts.filter(({ head }) => head.type === TYPES.chunk).length, parts.length - 3);
  engine.close();
});

test('an abort anywhere leaves engine and memory as they were', async () => {
  const engine = await Engine.load(LLAMA);
  const prefix = await engine.prefill(ids(350));
  const bytes = await bytesOf(prefix.snapshot());
  const records = takeApart(bytes).length;
  await logitsAfter(engine, prefix);
  const { memoryBytes } = engine.info;
  for (let n = 0; n <= records; n++) {
    const [reading, writing] = [new AbortController(), new AbortController()];
    let pieces = 0;
    const counted = inPieces(bytes, Math.ceil(bytes.length / records)).pipeThrough(
      new TransformStream({
        transform(piece, controller) {
          if (pieces++ === n) reading.abort();
          controller.enqueue(piece);
        },
      }),
    );
    if (n < records) await assert.rejects(engine.resume(counted, { signal: reading.signal }), failure('aborted'));
    const reader = prefix.snapshot({ signal: writing.signal }).getReader();
    for (let i = 0; i < n; i++) await reader.read();
    writing.abort();
    await assert.rejects(reader.read(), failure('aborted'));
    const cancelled = prefix.snapshot().getReader();
    for (let i = 0; i < n; i++) await cancelled.read();
    await cancelled.cancel();
    assert.equal(engine.info.memoryBytes, memoryBytes, `after ${n} records`);
  }
  const stopped = AbortSignal.abort();
  await assert.rejects(engine.resume(bytes, { signal: stopped }), failure('aborted'));
  assert.throws(() => prefix.snapshot({ signal: stopped }), failure('aborted'));
  const last = prefix.snapshot();
  prefix.free();
  const back = await engine.resume(last);
  assert.equal(back.length, 350, 'a prefix that is freed stays until its snapshot is written');
  back.free();
  assert.ok(engine.info.memoryBytes < memoryBytes);
  engine.close();
});

test('no memory is said before anything is read', async () => {
  const engine = await Engine.load(LLAMA);
  const prefix = await engine.prefill(ids(2500));
  const bytes = await bytesOf(prefix.snapshot());
  engine.close();
  const small = await Engine.load(LLAMA, { maxMemoryBytes: 8e6 });
  const { memoryBytes } = small.info;
  await assert.rejects(small.resume(bytes), failure('out-of-memory', 'ctx'));
  assert.equal(small.info.memoryBytes, memoryBytes);
  small.close();
  await assert.rejects(small.resume(bytes), failure('closed', 'engine'));
});
