/**
 * Every allocation of the core fails in turn, as it does where memory cannot grow: an error that says so with its numbers, nothing that
 * is kept, and the same call afterwards gives what it gives where nothing fails. On a build that looks at its memory after every call.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { attend, HsrIndex, KvCache, PartitionTree } from '../../web/attention.js';
import { Engine, HalfspaceError } from '../../web/index.js';
import { Engine as WorkerEngine } from '../../web/worker-engine.js';
import { checkedBuild, withInstances } from './helpers/checked.js';
import { logitsOf } from './helpers/logits.js';
import { randomModel } from './helpers/random-model.js';
import { bytesOf, inPieces } from './helpers/snapshot-edit.js';
import { gaussian } from './helpers/vectors.js';

const MODEL = randomModel({ arch: 'llama', type: 'Q8_0' });
const FAST = /** @type {const} */ ({ denseBelow: 0, denseAbove: 1, theta: 0.01 });
/** @param {number} n @param {number} [seed] */
const ids = (n, seed = 0) => Array.from({ length: n }, (_, i) => 3 + ((i * 7919 + seed * 104_729 + ((i * i) % 89)) % 280));

/** @typedef {import('../../web/core/wasm-loader.js').Exports} Exports */

/**
 * @template Made, Result
 * @typedef {object} Operation
 * @property {number} least allocations it makes at least
 * @property {() => Promise<Made>} before what it is done with, anew each time; nothing fails there
 * @property {(made: Made) => Exports} exports
 * @property {(made: Made) => Promise<Result> | Result} run
 * @property {(made: Made, result: Result) => Promise<unknown> | unknown} see what is to be equal; gives back what the result holds
 */

/** @param {unknown} error @param {string} at */
function assertTyped(error, at) {
  assert.ok(error instanceof HalfspaceError && error.code === 'out-of-memory', `${at}: ${error}`);
  assert.ok(
    error.field && Number.isFinite(error.value) && Number.isFinite(error.limit),
    `${at}: ${error.field}, ${error.value}, ${error.limit}`,
  );
}

/** @param {Exports} exports */
const held = (exports) => [exports.hs_memory_blocks(), exports.hs_memory_used()];

/**
 * @template Made, Result
 * @param {Operation<Made, Result>} operation
 */
async function failsEverywhere({ least, before, exports, run, see }) {
  const whole = await before();
  const expected = await see(whole, await run(whole));
  const after = held(exports(whole));
  let failed = 0;
  for (let at = 1; ; at++) {
    const made = await before();
    const core = exports(made);
    const untouched = held(core);
    core.hs_memory_fail(at);
    /** @type {any} */
    const outcome = await (async () => run(made))().then(
      (result) => ({ result }),
      (error) => ({ error }),
    );
    const reached = core.hs_memory_allocations() >= at;
    core.hs_memory_fail(0);
    if (!reached) {
      assert.deepEqual(await see(made, outcome.result), expected);
      break;
    }
    failed++;
    assertTyped(outcome.error, `allocation ${at}`);
    const [blocks, used] = held(core);
    // What grows with use, as the buffer of logits, may have grown.
    assert.ok(blocks >= untouched[0] && blocks <= after[0] && used <= after[1], `allocation ${at}: ${blocks} blocks, ${used} bytes`);
    assert.deepEqual(await see(made, await run(made)), expected, `after allocation ${at}`);
    assert.deepEqual(held(core), after, `after allocation ${at}`);
  }
  assert.ok(failed >= least, `${failed} allocations, at least ${least} expected`);
}

/** @param {AsyncIterable<{id: number}>} pieces */
async function idsOf(pieces) {
  const list = [];
  for await (const { id } of pieces) list.push(id);
  return list;
}

const D = 32;
const HEADS = 2;
const N = 700;
const SHAPE = { headDim: D, kvHeads: HEADS };
const rows = (/** @type {number} */ seed, /** @type {number} */ n) => ({
  keys: gaussian(seed, n * HEADS * D),
  values: gaussian(seed + 1, n * HEADS * D),
});
const QUERIES = gaussian(9, 4 * D);

/** @type {[string, import('../../web/attention/attend.js').AttendOptions][]} */
const WAYS = [
  ['dense', { mode: 'dense' }],
  ['fast', FAST],
  ['certified', { strength: 'certified', eps: 0.2, denseBelow: 0 }],
  ['exact', { strength: 'exact', r: 20, denseBelow: 0 }],
  ['relu', { mode: 'relu', b: 0.5 }],
];

/** @param {KvCache} cache */
const outputs = (cache) => (cache.length === 0 ? [] : WAYS.map(([, way]) => [...attend(cache, QUERIES, way).output]));

/** @param {HsrIndex} index */
const answers = (index) =>
  /** @type {const} */ (['brute', 'screen', 'tree']).map((strategy) => [...index.top(QUERIES.subarray(0, D), 30, { strategy }).positions]);

/** @param {number} n @param {Partial<import('../../web/attention/handle.js').Shape>} [shape] */
async function cacheOf(n, shape) {
  const cache = await KvCache.create({ ...SHAPE, ...shape, wasm: checkedBuild() });
  if (n > 0) cache.append(rows(1, n));
  return cache;
}

/** @param {Handle} handle @typedef {{core: import('../../web/attention/core.js').Core}} Handle */
const exportsOf = ({ core }) => core.exports;

const SNAPSHOT = await bytesOf((await cacheOf(N)).readable());

test('load', async () => {
  for (let at = 1; ; at++) {
    /** @type {any} */
    let exports;
    const outcome = await withInstances(
      (given) => (exports = given).hs_memory_fail(at),
      () => Engine.load(MODEL, checkedBuild()).catch((error) => error),
    );
    const count = exports.hs_memory_allocations();
    exports.hs_memory_fail(0);
    if (count < at) {
      assert.ok(at > 24, `${at - 1} allocations`);
      assert.equal((await outcome.logits(ids(5))).length, outcome.config.vocab);
      break;
    }
    assertTyped(outcome, `allocation ${at}`);
  }
});

/** @typedef {{engine: Engine, prefix: import('../../web/index.js').Prefix, bytes: Uint8Array[]}} Session */

/** An engine that has read nothing but a prefix of two parts, and its snapshots. @returns {Promise<Session>} */
async function session() {
  const engine = await Engine.load(MODEL, { ...checkedBuild(), ctx: 1024 });
  const root = await engine.prefill(ids(250));
  /** @type {any} */
  let since;
  const first = await bytesOf(root.snapshot({ onInfo: (info) => (since = info) }));
  const prefix = await engine.prefill(ids(30, 1), { prefix: root });
  root.free();
  return { engine, prefix, bytes: [first, await bytesOf(prefix.snapshot({ since }))] };
}

/** @param {Session} made @param {import('../../web/index.js').Prefix} prefix */
async function seePrefix({ engine }, prefix) {
  const seen = [prefix.ids, await logitsOf(engine, prefix, FAST)];
  prefix.free();
  return seen;
}

/** @type {Record<string, Pick<Operation<Session, any>, 'least' | 'run' | 'see'>>} */
const OF_ENGINE = {
  prefill: { least: 2, run: ({ engine }) => engine.prefill(ids(300)), see: seePrefix },
  'a fork of a prefix': { least: 2, run: ({ engine, prefix }) => engine.prefill(ids(200, 2), { prefix }), see: seePrefix },
  resume: { least: 4, run: ({ engine, bytes }) => engine.resume(bytes[0]), see: seePrefix },
  'resume of an addition, as streams': {
    least: 6,
    run: ({ engine, bytes }) => engine.resume(bytes.map((part) => inPieces(part, 5000))),
    see: seePrefix,
  },
  snapshot: { least: 3, run: ({ prefix }) => bytesOf(prefix.snapshot()), see: (_, bytes) => Buffer.from(bytes).toString('base64') },
  generate: { least: 3, run: ({ engine }) => idsOf(engine.generate(ids(40), { maxTokens: 5 })), see: (_, list) => list },
  'generate on a prefix, watched, to be continued': {
    least: 4,
    async run({ engine, prefix }) {
      /** @type {any} */
      let kept;
      const pieces = engine.generate(ids(9), { prefix, maxTokens: 4, watch: true, attention: FAST, onPrefix: (given) => (kept = given) });
      return { list: await idsOf(pieces), kept };
    },
    see: async (made, { list, kept }) => [list, await seePrefix(made, kept)],
  },
  stream: {
    least: 3,
    run: ({ engine }) => idsOf(/** @type {any} */ (engine.stream(ids(40), { maxTokens: 5 }))),
    see: (_, list) => list,
  },
  'logits of every position': {
    least: 3,
    run: ({ engine }) => engine.logits(ids(150), { all: true }),
    see: (_, logits) => Buffer.from(logits.buffer).toString('base64'),
  },
  perplexity: {
    least: 6,
    run: ({ engine }) => engine.perplexity(ids(60), { evalTokens: 5, against: 'dense', attention: FAST }),
    see: (_, { ppl, kl, tokens }) => [ppl, kl, tokens],
  },
  'rows of a context': { least: 1, run: ({ prefix }) => prefix.context.rows(1, 0), see: (_, { keys, values }) => [...keys, ...values] },
};
for (const [name, operation] of Object.entries(OF_ENGINE)) {
  test(name, () => failsEverywhere({ before: session, exports: ({ engine }) => engine.wasm.exports, ...operation }));
}

const indexOf = async () => HsrIndex.create({ headDim: D, keys: gaussian(3, N * D), wasm: checkedBuild() });

/** @type {Record<string, Operation<any, any>>} */
const OF_ATTENTION = {
  'KvCache.append': {
    least: 4,
    before: () => cacheOf(100),
    exports: exportsOf,
    run: (cache) => cache.append(rows(5, N)),
    see: (cache, position) => [position, cache.length, outputs(cache)],
  },
  'KvCache.append, f32': {
    least: 4,
    before: () => cacheOf(0, { type: 'f32', maxChunk: 128 }),
    exports: exportsOf,
    run: (cache) => cache.append(rows(5, N)),
    see: (cache, position) => [position, cache.length, outputs(cache)],
  },
  ...Object.fromEntries(
    WAYS.map(([name, way]) => [
      `attend, ${name}`,
      /** @type {Operation<any, any>} */ ({
        least: 1,
        before: () => cacheOf(N),
        exports: exportsOf,
        run: (cache) => attend(cache, QUERIES, way),
        see: (_, { output }) => [...output],
      }),
    ]),
  ),
  'attend, reported keys': {
    least: 3,
    before: () => cacheOf(N),
    exports: exportsOf,
    run: (cache) => attend(cache, QUERIES, { strength: 'exact', r: 20, denseBelow: 0, reported: true }),
    see: (_, { reported }) => reported.map((/** @type {any} */ each) => [...each.positions]),
  },
  'KvCache.readable': {
    least: 2,
    before: () => cacheOf(N),
    exports: exportsOf,
    run: (cache) => bytesOf(cache.readable()),
    see: (_, bytes) => Buffer.from(bytes).toString('base64'),
  },
  'KvCache.writable': {
    least: 6,
    before: () => cacheOf(0),
    exports: exportsOf,
    run: async (cache) => {
      // What arrived before stays where a stream fails.
      cache.truncate(0);
      await inPieces(SNAPSHOT, 3000).pipeTo(cache.writable());
    },
    see: (cache) => [cache.length, outputs(cache)],
  },
  'HsrIndex.append': {
    least: 3,
    before: indexOf,
    exports: exportsOf,
    run: (index) => index.append(gaussian(4, N * D)),
    see: (index, position) => [position, index.length, answers(index)],
  },
  'HsrIndex.report': {
    least: 1,
    before: indexOf,
    exports: exportsOf,
    run: (index) => index.report(QUERIES.subarray(0, D), 1),
    see: (_, { positions, products }) => [[...positions], [...products]],
  },
  'HsrIndex.top': {
    least: 1,
    before: indexOf,
    exports: exportsOf,
    run: (index) => index.top(QUERIES.subarray(0, D), 10),
    see: (_, { positions, products }) => [[...positions], [...products]],
  },
  'PartitionTree.create': {
    least: 3,
    before: async () => {
      const wasm = checkedBuild();
      return { wasm, core: (await HsrIndex.create({ headDim: D, wasm })).core };
    },
    exports: exportsOf,
    run: ({ wasm }) => PartitionTree.create({ dim: 3, keys: gaussian(6, 3000), wasm }),
    see: (_, tree) => [[...tree.top(QUERIES.subarray(0, 3), 20).positions], tree.count(QUERIES.subarray(0, 3), 0.5)],
  },
};
for (const [name, operation] of Object.entries(OF_ATTENTION)) test(name, () => failsEverywhere(operation));

/** @type {[string, number, (wasm: import('../../web/core/wasm-loader.js').LoadOptions) => Promise<Handle & {free: () => void}>][]} */
const CREATED = [
  ['KvCache.create', 4, (wasm) => KvCache.create({ ...SHAPE, wasm })],
  ['HsrIndex.create with keys', 6, (wasm) => HsrIndex.create({ headDim: D, keys: gaussian(3, N * D), wasm })],
];
for (const [name, least, create] of CREATED) {
  test(`${name}, with the instance itself`, async () => {
    for (let at = 1; ; at++) {
      const wasm = checkedBuild();
      /** @type {any} */
      let exports;
      const made = await withInstances(
        (given) => (exports ??= given).hs_memory_fail(at),
        () => create(wasm).catch((error) => error),
      );
      if (exports.hs_memory_allocations() < at) {
        assert.ok(at > least, `${at - 1} allocations`);
        made.free();
        break;
      }
      assertTyped(made, `allocation ${at}`);
      exports.hs_memory_fail(0);
      (await create(wasm)).free();
    }
  });
}

const PAGE = 65_536;

/**
 * All there is of an engine, as far as the memory goes.
 * @param {typeof Engine | typeof WorkerEngine} Kind
 * @param {object} options
 * @returns {Promise<{done: string[], error: any}>}
 */
async function story(Kind, options) {
  /** @type {string[]} */
  const done = [];
  /** @type {any} */
  let engine;
  try {
    engine = await Kind.load(MODEL, { ...options, ctx: 1024 });
    done.push('load');
    const prefix = await engine.prefill(ids(200));
    done.push('prefill');
    const bytes = await bytesOf(prefix.snapshot());
    done.push('snapshot');
    const more = await engine.prefill(ids(300, 1), { prefix });
    done.push('fork');
    prefix.free();
    const resumed = await engine.resume(bytes);
    done.push('resume');
    done.push(String(await idsOf(engine.generate(ids(20), { prefix: more, maxTokens: 4 }))));
    done.push(String(await idsOf(engine.generate(ids(20), { prefix: resumed, maxTokens: 4 }))));
    return { done, error: undefined };
  } catch (error) {
    // Whatever failed, the engine goes on with what fits.
    if (engine) done.push(`then ${(await engine.tokenize('a')).length}`);
    return { done, error };
  } finally {
    engine?.close();
  }
}

for (const [name, Kind, step, options] of /** @type {const} */ ([
  ['one thread', Engine, 3, {}],
  ['two threads', Engine, 17, { threads: 2 }],
  ['in a worker', WorkerEngine, 17, {}],
])) {
  test(`memory that grows up to a limit, ${name}: each limit fails somewhere, up to one where all is well`, async (t) => {
    const whole = await story(Kind, options);
    assert.equal(whole.error, undefined);
    const reached = new Set();
    for (let pages = 32; ; pages += step) {
      const { done, error } = await story(Kind, { ...options, maxMemoryBytes: pages * PAGE });
      if (!error) {
        assert.deepEqual(done, whole.done);
        break;
      }
      assertTyped(error, `${pages} pages, ${done}`);
      reached.add(done.filter((what) => !what.startsWith('then')).at(-1));
    }
    t.diagnostic(`${[...reached]}`);
    assert.ok(reached.size > (step === 3 ? 3 : 1), `it failed after ${[...reached]}`);
  });
}

test('the stacks of threads do not fit', async () => {
  const small = { maxMemoryBytes: 32 * PAGE };
  /** @type {any} */
  const error = await Engine.load(MODEL, { ...small, threads: 16 }).catch((e) => e);
  assertTyped(error, 'load');
  assert.deepEqual([error.field, error.value], ['threads', 16]);
  assert.ok(error.limit >= 1 && error.limit < 16, `${error.limit} fit`);
});
