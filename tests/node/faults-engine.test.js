/** Aborts at every point where a signal is looked at, workers that die in every phase, and clocks that jump. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { attend, HsrIndex, KvCache } from '../../web/attention.js';
import { Engine } from '../../web/index.js';
import { openFileStore } from '../../web/stores/files.js';
import { Engine as WorkerEngine } from '../../web/worker-engine.js';
import { abortingAt } from './helpers/aborting.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';
import { bytesOf, inPieces } from './helpers/snapshot-edit.js';
import { gaussian } from './helpers/vectors.js';
import { collectWorkers, withWorkers } from './helpers/workers.js';

/** Where a fault would show as waiting without end. */
const TIMEOUT_MS = 600_000;
const HOURS_MS = 5 * 3600_000;
const MODEL = new Uint8Array(randomModel({ arch: 'llama', type: 'Q8_0', metadata: { context_length: 2048 } }));
/** @param {number} n */
const ids = (n) => Array.from({ length: n }, (_, i) => 3 + ((i * 7919 + ((i * i) % 89)) % 280));

/** @param {AsyncIterable<{id: number}>} pieces */
async function idsOf(pieces) {
  const list = [];
  for await (const { id } of pieces) list.push(id);
  return list;
}

/** @param {{generate: Engine['generate'] | WorkerEngine['generate']}} engine */
const answer = (engine) => idsOf(/** @type {any} */ (engine.generate(ids(40), { maxTokens: 6 })));

const EXPECTED = await (async () => {
  const engine = await Engine.load(MODEL);
  const list = await answer(engine);
  engine.close();
  return list;
})();

/**
 * Looks by looks until the call comes to its end.
 * @param {(signal: AbortSignal) => Promise<any>} call
 * @param {(at: number) => unknown} [after]
 * @returns {Promise<number>} aborts
 */
async function abortsEverywhere(call, after = () => {}) {
  for (let at = 1; ; at++) {
    const { signal, reached } = abortingAt(at);
    const outcome = await call(signal).catch((error) => error);
    if (!reached()) {
      assert.ok(!(outcome instanceof Error), String(outcome));
      return at - 1;
    }
    assert.ok(failure('aborted')(outcome), `look ${at}: ${outcome}`);
    await after(at);
  }
}

test('an abort wherever a signal is looked at: the engine goes on, and holds what it held', { timeout: TIMEOUT_MS }, async () => {
  const engine = await Engine.load(MODEL);
  const prefix = await engine.prefill(ids(300));
  const bytes = await bytesOf(prefix.snapshot());
  await engine.logits(ids(140), { all: true });
  const { memoryBytes } = engine.info;
  const freed = async (/** @type {Promise<import('../../web/index.js').Prefix>} */ made) => (await made).free();
  /** @type {Record<string, [number, (signal: AbortSignal) => Promise<unknown>]>} */
  const calls = {
    prefill: [3, (signal) => freed(engine.prefill(ids(400), { signal }))],
    'prefill on a prefix': [2, (signal) => freed(engine.prefill(ids(200), { prefix, signal }))],
    generate: [6, (signal) => idsOf(engine.generate(ids(140), { maxTokens: 5, signal }))],
    stream: [1, (signal) => idsOf(/** @type {any} */ (engine.stream(ids(140), { maxTokens: 5, signal })))],
    logits: [2, (signal) => engine.logits(ids(140), { all: true, signal })],
    perplexity: [5, (signal) => engine.perplexity(ids(140), { evalTokens: 5, signal })],
    resume: [5, (signal) => freed(engine.resume(inPieces(bytes, 20_000), { signal }))],
    snapshot: [1, async (signal) => bytesOf(prefix.snapshot({ signal }))],
  };
  for (const [name, [least, call]] of Object.entries(calls)) {
    const aborts = await abortsEverywhere(call, (at) => assert.equal(engine.info.memoryBytes, memoryBytes, `${name}, look ${at}`));
    assert.ok(aborts >= least, `${name}: ${aborts} aborts`);
    assert.equal(engine.info.memoryBytes, memoryBytes, name);
  }
  assert.deepEqual(await answer(engine), EXPECTED);
  engine.close();
});

test('an abort wherever a load looks', { timeout: TIMEOUT_MS }, async () => {
  const aborts = await abortsEverywhere(async (signal) => (await Engine.load(MODEL, { signal })).close());
  assert.ok(aborts > 40, `${aborts} aborts`);
});

/** @typedef {{engine: WorkerEngine, prefix: import('../../web/worker-engine.js').Prefix, bytes: Uint8Array, die: () => void}} Session */

/** What a worker dies in, once it is in the middle of it. @type {Record<string, (session: Session) => Promise<unknown>>} */
const PHASES = {
  async idle({ engine, die }) {
    die();
    await engine.tokenize('a');
  },
  prefill: ({ engine, die }) => engine.prefill(ids(1500), { onPrefill: die }),
  async decode({ engine, die }) {
    let pieces = 0;
    for await (const _ of engine.generate(ids(20), { maxTokens: 500 })) if (++pieces === 3) die();
  },
  async 'a stream'({ engine, die }) {
    for await (const { index } of /** @type {any} */ (engine.stream(ids(20), { maxTokens: 500 }))) if (index === 2) die();
  },
  logits({ engine, die }) {
    const call = engine.logits(ids(1500), { all: true });
    setImmediate(die);
    return call;
  },
  async snapshot({ prefix, die }) {
    const reader = prefix.snapshot().getReader();
    await reader.read();
    die();
    for (;;) if ((await reader.read()).done) return;
  },
  resume: ({ engine, bytes, die }) => engine.resume(inPieces(bytes, 5000), { onProgress: die }),
};

test('a worker that dies in any phase is an error of what was under way and of all that comes', { timeout: TIMEOUT_MS }, async () => {
  const lost = failure('worker-lost', 'worker');
  const onProgress = (/** @type {import('node:worker_threads').Worker[]} */ workers) => () => void workers[0].terminate();
  for (const when of ['at once', 'in the weights']) {
    /** @type {import('node:worker_threads').Worker[]} */
    const started = [];
    const load = withWorkers(
      (Worker) =>
        class extends Worker {
          /** @param {ConstructorParameters<typeof Worker>} args */
          constructor(...args) {
            super(...args);
            started.push(this);
            if (when === 'at once') void this.terminate();
          }
        },
      () => WorkerEngine.load(MODEL, { onProgress: onProgress(started) }),
    );
    await assert.rejects(load, lost, when);
  }
  for (const [name, run] of Object.entries(PHASES)) {
    const { result: engine, workers } = await collectWorkers(() => WorkerEngine.load(MODEL));
    const prefix = await engine.prefill(ids(300));
    const bytes = await bytesOf(prefix.snapshot());
    await assert.rejects(run({ engine, prefix, bytes, die: () => void workers[0].terminate() }), lost, name);
    await assert.rejects(engine.tokenize('a'), lost, name);
    await assert.rejects(bytesOf(prefix.snapshot()), lost, name);
    prefix.free();
    engine.close();
  }
  const fresh = await WorkerEngine.load(MODEL);
  assert.deepEqual(await answer(fresh), EXPECTED);
  fresh.close();
});

test('a worker that ends itself, or runs out of its own memory', { timeout: TIMEOUT_MS }, async () => {
  for (const script of ['process.exit(3)', 'const all = []; for (;;) all.push(new Array(1e6).fill(0))']) {
    const load = withWorkers(
      (Worker) =>
        class extends Worker {
          constructor() {
            super(`require('node:worker_threads').parentPort.once('message', () => { ${script} })`, {
              eval: true,
              resourceLimits: { maxOldGenerationSizeMb: 20 },
            });
          }
        },
      () => WorkerEngine.load(MODEL),
    );
    await assert.rejects(load, failure('worker-lost', 'worker'), script);
  }
});

/** Clocks of which each reading is hours before, or hours after, the one before; or which stand still. */
const CLOCKS = /** @type {Record<string, () => () => number>} */ ({
  back: () => {
    let now = 1e12;
    return () => (now -= HOURS_MS);
  },
  on: () => {
    let now = 0;
    return () => (now += HOURS_MS);
  },
  still: () => () => 7,
});

for (const [name, make] of Object.entries(CLOCKS)) {
  test(`a clock that goes ${name}: results and numbers are numbers`, { timeout: TIMEOUT_MS }, async (t) => {
    const engine = await Engine.load(MODEL);
    const cache = await KvCache.create({ headDim: 32, kvHeads: 1 });
    cache.append({ keys: gaussian(1, 300 * 32), values: gaussian(2, 300 * 32) });
    const clock = make();
    t.mock.method(performance, 'now', clock);
    t.mock.method(Date, 'now', clock);
    /** @type {any} */
    let stats;
    const list = await idsOf(engine.generate(ids(40), { maxTokens: 6, onStats: (given) => (stats = given) }));
    assert.deepEqual(list, EXPECTED);
    const prefix = await engine.prefill(ids(50));
    const times = [stats.prefillMs, ...stats.decodeMs, prefix.prefillMs, attend(cache, gaussian(3, 32)).stats.timeMs];
    assert.ok(
      times.every((ms) => Number.isFinite(ms) && ms >= 0),
      String(times),
    );
    const costs = await HsrIndex.calibrate({}).catch((error) => error);
    if (costs instanceof Error) assert.ok(failure('unsupported', 'performance.now')(costs), String(costs));
    else assert.ok(name === 'on' && Object.values(costs).every((ns) => ns > 0 && Number.isFinite(ns)), JSON.stringify(costs));
    t.mock.restoreAll();
    engine.close();
    cache.free();
  });
}

test('a store keeps its drafts, and its order, where the clock is set', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-clock-'));
  for (const jump of [HOURS_MS, -HOURS_MS]) {
    const store = await openFileStore(folder);
    let go = () => {};
    const waiting = new Promise((resolve) => (go = () => resolve(undefined)));
    const put = store.put(
      'slow',
      (async function* () {
        yield new Uint8Array(10);
        await waiting;
        yield new Uint8Array(10);
      })(),
    );
    const draftsNow = async () => (await readdir(folder)).filter((name) => name.includes('~'));
    while ((await draftsNow()).length === 0);
    const drafts = await draftsNow();
    const now = Date.now();
    t.mock.method(Date, 'now', () => now + jump);
    // A draft that is begun after the clock was set back has a time before the process began.
    if (jump < 0) await utimes(join(folder, drafts[0]), new Date(now + jump), new Date(now + jump));
    const other = await openFileStore(folder);
    assert.deepEqual(await draftsNow(), drafts, `a jump of ${jump} ms`);
    go();
    assert.equal((await put).bytes, 20);
    for (const name of ['a', 'b', 'c']) await other.put(name, new Uint8Array(10));
    await (await other.open('a')).close();
    // What was used last stays.
    await other.evict(20);
    assert.deepEqual((await other.list()).map(({ name }) => name).toSorted(), ['a', 'c']);
    t.mock.restoreAll();
    await rm(folder, { recursive: true });
  }
});
