/**
 * Every read of a model or a snapshot fails, hangs, comes short, or is aborted, at every chunk, and every write of a stream fails: typed
 * errors, sources closed, no memory kept, and the same afterwards.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { attend, KvCache } from '../../web/attention.js';
import { fromStream } from '../../web/bytes/sources.js';
import { Engine } from '../../web/index.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { logitsOf } from './helpers/logits.js';
import { randomModel } from './helpers/random-model.js';
import { bytesOf } from './helpers/snapshot-edit.js';
import { gaussian } from './helpers/vectors.js';

/** Where a fault would show as waiting without end. */
const TIMEOUT_MS = 600_000;
const MODEL = new Uint8Array(randomModel({ arch: 'llama', type: 'Q4_0' }));
const PROMPT = Array.from({ length: 20 }, (_, i) => 3 + i);
const GONE = new Error('the disk is gone');
const fsPromises = createRequire(import.meta.url)('node:fs/promises');

/** @typedef {'fail' | 'short' | 'hang' | 'abort'} Fault */
const FAULTS = /** @type {const} */ (['fail', 'short', 'hang', 'abort']);

/** One read that goes wrong; the others do not. */
class Plan {
  reads = 0;
  closed = 0;
  #controller = new AbortController();

  /** @param {Fault} fault @param {number} at the read, from 1 */
  constructor(fault, at) {
    this.fault = fault;
    this.at = at;
  }

  get signal() {
    return this.#controller.signal;
  }

  get reached() {
    return this.reads >= this.at;
  }

  /**
   * @template T
   * @param {() => T | Promise<T>} read
   * @param {() => T | Promise<T>} short
   * @returns {Promise<T>}
   */
  async read(read, short) {
    if (++this.reads !== this.at) return read();
    if (this.fault === 'fail') throw GONE;
    if (this.fault === 'short') return short();
    if (this.fault === 'abort') this.#controller.abort();
    else setImmediate(() => this.#controller.abort());
    return this.fault === 'abort' ? read() : new Promise(() => {});
  }
}

/**
 * As a store opens it.
 * @param {Uint8Array} bytes @param {Plan} plan @param {number} size of a piece
 */
const sourceOf = (bytes, plan, size) =>
  fromStream(
    'entry',
    bytes.length,
    async function* (offset, length) {
      for (let at = offset; at < offset + length; at += size) {
        const end = Math.min(at + size, offset + length);
        const piece = await plan.read(
          () => bytes.subarray(at, end),
          () => bytes.subarray(at, (at + end) >> 1),
        );
        yield piece;
        if (piece.length < end - at) return;
      }
    },
    async () => void plan.closed++,
  );

/** @param {Uint8Array} bytes @param {Plan} plan */
function blobOf(bytes, plan) {
  return new (class extends Blob {
    /** @param {number} from @param {number} to @returns {any} */
    slice(from, to) {
      const half = (from + to) >> 1;
      return {
        arrayBuffer: () =>
          plan.read(
            () => super.slice(from, to).arrayBuffer(),
            () => super.slice(from, half).arrayBuffer(),
          ),
      };
    }
  })([/** @type {BlobPart} */ (bytes)]);
}

/** Files whose reads go by a plan. @param {import('node:test').TestContext} t @param {() => Plan} plan */
function mockFiles(t, plan) {
  const { open } = fsPromises;
  t.mock.method(fsPromises, 'open', async (/** @type {string} */ path, /** @type {string} */ flags) => {
    const file = await open(path, flags);
    const own = plan();
    let hangs = false;
    return {
      stat: () => file.stat(),
      async close() {
        own.closed++;
        const closed = file.close();
        // As a file does that is being read.
        return hangs ? new Promise(() => {}) : closed;
      },
      async read(/** @type {Uint8Array} */ buffer, /** @type {number} */ offset, /** @type {number} */ length, /** @type {number} */ at) {
        hangs = own.fault === 'hang' && own.reads + 1 === own.at;
        return own.read(
          () => file.read(buffer, offset, length, at),
          () => file.read(buffer, offset, Math.ceil(length / 2), at),
        );
      },
    };
  });
}

/** @param {Uint8Array | string | Blob | import('../../web/bytes/sources.js').ByteSource} source @param {AbortSignal} [signal] */
async function loadedLogits(source, signal) {
  const engine = await Engine.load(source, { signal, variant: 'simd' });
  const logits = await engine.logits(PROMPT);
  engine.close();
  return Buffer.from(logits.buffer).toString('base64');
}

const EXPECTED = await loadedLogits(MODEL);

/**
 * @param {(plan: Plan) => Promise<string>} use what ends in EXPECTED where nothing goes wrong
 * @param {Record<Fault, (error: unknown) => boolean>} ends
 * @param {(plan: Plan) => void} [after]
 */
async function atEveryRead(use, ends, after = () => {}) {
  let faults = 0;
  for (const fault of FAULTS) {
    for (let at = 1; ; at++) {
      const plan = new Plan(fault, at);
      const outcome = await use(plan).catch((error) => error);
      after(plan);
      if (!plan.reached) {
        assert.equal(outcome, EXPECTED);
        break;
      }
      assert.ok(ends[fault](outcome), `${fault} at read ${at}: ${outcome}`);
      faults++;
    }
  }
  assert.ok(faults > 60, `${faults} faults`);
}

const TYPED = { fail: failure('io', 'read'), short: failure('io', 'length'), hang: failure('aborted'), abort: failure('aborted') };

test('a model from a store', { timeout: TIMEOUT_MS }, () =>
  atEveryRead(
    (plan) => loadedLogits(sourceOf(MODEL, plan, 50_000), plan.signal),
    TYPED,
    (plan) => assert.ok(plan.closed > 0, 'the source is closed'),
  ),
);

test('a model from a File', { timeout: TIMEOUT_MS }, () => atEveryRead((plan) => loadedLogits(blobOf(MODEL, plan), plan.signal), TYPED));

test('a model from a path', { timeout: TIMEOUT_MS }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-faults-'));
  const path = join(folder, 'model.gguf');
  await writeFile(path, MODEL);
  /** @type {Plan} */
  let current;
  mockFiles(t, () => current);
  const use = (/** @type {Plan} */ plan) => loadedLogits(path, (current = plan).signal);
  // A file may give less than was asked for: then it is asked again.
  await atEveryRead(use, { ...TYPED, short: (outcome) => outcome === EXPECTED }, (plan) => assert.equal(plan.closed, 1));
  await rm(folder, { recursive: true });
});

test('a model from a URL: every request is dropped, refused, left without an end, or aborted', { timeout: TIMEOUT_MS }, async (t) => {
  const real = setTimeout;
  // The pauses between retries, which double up from a tenth of a second.
  t.mock.method(globalThis, 'setTimeout', (/** @type {() => void} */ run, /** @type {number} */ ms) =>
    [100, 200, 400, 800, 1600].includes(ms) ? setImmediate(run) : real(run, ms),
  );
  const ends = /** @type {Record<string, (outcome: unknown) => boolean>} */ ({
    once: (outcome) => outcome === EXPECTED,
    dropped: failure('io'),
    refused: failure('io', 'status', 503),
    hang: failure('aborted'),
    abort: failure('aborted'),
  });
  for (const [fault, end] of Object.entries(ends)) {
    // The first request (0) asks for the size alone.
    for (let at = 1; ; at += 3) {
      const controller = new AbortController();
      /** @type {import('./helpers/byte-server.js').Served} */
      const file = { bytes: MODEL, stall: fault === 'hang' };
      file.cut = (index) => {
        if (fault === 'refused' && index === at - 1) file.status = 503;
        if (index < at || (index > at && fault !== 'dropped')) return Infinity;
        if (fault === 'hang') real(() => controller.abort(), 5);
        if (fault === 'abort') controller.abort();
        return fault === 'once' ? 7 : fault === 'dropped' ? 0 : fault === 'hang' ? 1 : Infinity;
      };
      const server = await serveBytes(file);
      const outcome = await loadedLogits(server.url, controller.signal).catch((error) => error);
      await server.close();
      if (server.starts.length <= at) {
        assert.equal(outcome, EXPECTED);
        break;
      }
      assert.ok(end(outcome), `${fault} at request ${at}: ${outcome}`);
    }
  }
});

/** @param {Uint8Array} bytes @param {Plan} plan @param {number} size */
function streamOf(bytes, plan, size) {
  let at = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        if (at >= bytes.length) return controller.close();
        const end = at + size;
        const piece = await plan.read(
          () => bytes.slice(at, end),
          () => bytes.slice(at, at),
        );
        at = piece.length === 0 ? bytes.length : end;
        if (piece.length > 0) controller.enqueue(piece);
        else controller.close();
      },
      cancel: () => void plan.closed++,
    },
    { highWaterMark: 0 },
  );
}

test('a snapshot, from a store and as a stream', { timeout: TIMEOUT_MS }, async () => {
  const engine = await Engine.load(MODEL);
  const prefix = await engine.prefill(Array.from({ length: 200 }, (_, i) => 3 + ((i * 31) % 200)));
  const bytes = await bytesOf(prefix.snapshot());
  const expected = await logitsOf(engine, prefix, 'dense');
  const { memoryBytes } = engine.info;
  const size = 20_000;
  const kinds = /** @type {[string, (plan: Plan) => any, Record<Fault, (error: unknown) => boolean>][]} */ ([
    ['store', (plan) => sourceOf(bytes, plan, size), TYPED],
    // The error of a stream is its maker's own; its end is for the snapshot to judge.
    ['stream', (plan) => streamOf(bytes, plan, size), { ...TYPED, fail: (error) => error === GONE, short: failure('bad-chunk', 'length') }],
  ]);
  for (const [kind, open, ends] of kinds) {
    for (const fault of FAULTS) {
      for (let at = 1; ; at++) {
        const plan = new Plan(fault, at);
        /** @type {any} */
        const outcome = await engine.resume(open(plan), { signal: plan.signal }).catch((error) => error);
        if (!plan.reached) {
          assert.ok(at > 5, `${at} reads`);
          assert.equal(await logitsOf(engine, outcome, 'dense'), expected);
          outcome.free();
          break;
        }
        assert.ok(ends[fault](outcome), `${kind}: ${fault} at read ${at}: ${outcome}`);
        assert.equal(engine.info.memoryBytes, memoryBytes, `${kind}: ${fault} at read ${at}`);
        assert.ok(kind === 'stream' || plan.closed > 0, 'the source is closed');
        assert.ok(fault !== 'hang' || plan.closed > 0, 'the stream that hangs is told');
      }
    }
  }
  engine.close();
});

test('what is given to be closed is closed where nothing is read of it', async () => {
  const plans = [1, 2, 3, 4].map(() => new Plan('fail', Infinity));
  const sources = plans.map((plan) => sourceOf(MODEL, plan, 1000));
  await assert.rejects(Engine.load(sources[0], { signal: AbortSignal.abort() }), failure('aborted'));
  await assert.rejects(Engine.load(sources[1], { ctx: 0 }), failure('bad-argument', 'ctx'));
  const engine = await Engine.load(MODEL);
  await assert.rejects(engine.resume([sources[2], sources[3]]), failure('bad-file', 'magic'));
  engine.close();
  assert.ok(plans.every((plan) => plan.closed > 0));
});

const D = 32;
const SHAPE = { headDim: D, kvHeads: 2 };
const QUERIES = gaussian(9, 4 * D);
const outputOf = (/** @type {KvCache} */ cache) => [...attend(cache, QUERIES, { mode: 'dense' }).output];

async function filledCache() {
  const cache = await KvCache.create(SHAPE);
  cache.append({ keys: gaussian(1, 900 * 2 * D), values: gaussian(2, 900 * 2 * D) });
  return cache;
}

test('a cache that is filled by a stream', { timeout: TIMEOUT_MS }, async () => {
  const cache = await filledCache();
  const bytes = await bytesOf(cache.readable());
  const expected = outputOf(cache);
  const used = cache.core.used();
  const ends = { ...TYPED, fail: (/** @type {unknown} */ error) => error === GONE, short: failure('bad-chunk', 'length') };
  for (const fault of FAULTS) {
    for (let at = 1; ; at++) {
      const plan = new Plan(fault, at);
      const copy = await KvCache.create(SHAPE);
      const outcome = await streamOf(bytes, plan, 10_000)
        .pipeTo(copy.writable({ signal: plan.signal }))
        .catch((error) => error);
      if (plan.reached) {
        assert.ok(ends[fault](outcome), `${fault} at read ${at}: ${outcome}`);
        assert.equal(copy.core.used() - used, copy.memoryBytes, 'nothing is kept beside the cache');
        copy.truncate(0);
        await streamOf(bytes, new Plan(fault, Infinity), 10_000).pipeTo(copy.writable());
      }
      assert.deepEqual(outputOf(copy), expected);
      copy.free();
      assert.equal(cache.core.used(), used);
      if (!plan.reached) break;
    }
  }
  cache.free();
});

test('a snapshot whose writing fails at every piece', { timeout: TIMEOUT_MS }, async () => {
  const engine = await Engine.load(MODEL);
  const prefix = await engine.prefill(PROMPT);
  const cache = await filledCache();
  const kinds = /** @type {[string, () => ReadableStream<Uint8Array>, () => number][]} */ ([
    ['prefix', () => prefix.snapshot(), () => engine.info.memoryBytes],
    ['cache', () => cache.readable(), () => cache.core.used()],
  ]);
  for (const [kind, open, used] of kinds) {
    const before = used();
    const whole = await bytesOf(open());
    for (let at = 1; ; at++) {
      let pieces = 0;
      const sink = new WritableStream({
        write() {
          if (++pieces === at) throw GONE;
        },
      });
      const outcome = await open()
        .pipeTo(sink)
        .catch((error) => error);
      assert.equal(used(), before, `${kind}, piece ${at}`);
      if (pieces < at) break;
      assert.equal(outcome, GONE);
    }
    assert.deepEqual(await bytesOf(open()), whole);
  }
  engine.close();
  cache.free();
});
