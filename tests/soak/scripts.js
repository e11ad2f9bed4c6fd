/** What a soak does: scripts whose results depend on their seed alone, and faults, which leave nothing behind. */
import assert from 'node:assert/strict';

import { attend, HsrIndex, KvCache } from '../../web/attention.js';
import { Engine } from '../../web/index.js';
import { Engine as WorkerEngine } from '../../web/worker-engine.js';
import { abortingAt } from '../node/helpers/aborting.js';
import { logitsOf } from '../node/helpers/logits.js';
import { bytesOf, inPieces } from '../node/helpers/snapshot-edit.js';
import { gaussian } from '../node/helpers/vectors.js';
import { collectWorkers } from '../node/helpers/workers.js';

/**
 * @typedef {object} Stage what scripts and faults play on
 * @property {Engine} engine
 * @property {object} wasm options of the attention API: the instance it uses
 * @property {string | Uint8Array} model
 * @property {number} threads
 * @property {number} tokens of a prompt, at most
 *
 * @typedef {(stage: Stage, seed: number) => Promise<unknown>} Script
 * @typedef {(stage: Stage, random: () => number) => Promise<unknown>} Fault throws what the fault has to end in
 */

const FAST = /** @type {const} */ ({ denseBelow: 0, denseAbove: 1, theta: 0.01 });
/** @type {import('../../web/engine.js').Attention[]} */
const WAYS = [FAST, 'dense', { strength: 'certified', eps: 0.2, denseBelow: 0 }, { strength: 'exact', r: 20, denseBelow: 0 }];

/** @param {number} n @param {number} seed */
const ids = (n, seed) => Array.from({ length: n }, (_, i) => 3 + ((i * 7919 + seed * 104_729 + ((i * i) % 89)) % 280));

/** @param {AsyncIterable<{id: number}>} pieces */
async function idsOf(pieces) {
  const list = [];
  for await (const { id } of pieces) list.push(id);
  return list;
}

/** @param {Stage} stage @param {number} seed */
const prompt = ({ tokens }, seed) => ids(Math.ceil((tokens * (1 + (seed % 4))) / 4), seed);

const D = 32;
const HEADS = 2;
const SHAPE = { headDim: D, kvHeads: HEADS };
/** @param {number} seed @param {number} n */
const rows = (seed, n) => ({ keys: gaussian(seed, n * HEADS * D), values: gaussian(seed + 1, n * HEADS * D) });

/** @type {Record<string, Script>} */
export const SCRIPTS = {
  async generate(stage, seed) {
    const options = { maxTokens: 6, attention: WAYS[seed % WAYS.length], sampler: { temperature: seed % 2, seed }, watch: seed % 3 === 0 };
    return idsOf(stage.engine.generate(prompt(stage, seed), options));
  },

  async stream({ engine }, seed) {
    return idsOf(/** @type {any} */ (engine.stream(ids(30, seed), { maxTokens: 6 })));
  },

  async fork(stage, seed) {
    const { engine } = stage;
    const root = await engine.prefill(prompt(stage, seed), { attention: FAST });
    const forks = [await engine.prefill(ids(90, seed + 1), { prefix: root }), await engine.prefill(ids(20, seed + 2), { prefix: root })];
    root.free();
    const both = await Promise.all(forks.map((prefix) => idsOf(engine.generate(ids(3, seed), { prefix, maxTokens: 4 }))));
    const logits = await logitsOf(engine, forks[1], FAST);
    for (const fork of forks) fork.free();
    return [both, logits];
  },

  async snapshot(stage, seed) {
    const { engine } = stage;
    const root = await engine.prefill(prompt(stage, seed));
    /** @type {any} */
    let since;
    const first = await bytesOf(root.snapshot({ onInfo: (info) => (since = info) }));
    const longer = await engine.prefill(ids(40, seed + 1), { prefix: root });
    const added = await bytesOf(longer.snapshot({ since }));
    const resumed = await engine.resume([inPieces(first, 10_000 + seed), new Blob([added])]);
    const logits = [await logitsOf(engine, longer, FAST), await logitsOf(engine, resumed, FAST)];
    assert.equal(logits[1], logits[0], 'what was resumed is what was saved');
    for (const prefix of [root, longer, resumed]) prefix.free();
    return [since.hash, logits[0]];
  },

  async perplexity({ engine }, seed) {
    const { ppl, kl } = await engine.perplexity(ids(80, seed), { evalTokens: 6, attention: FAST, against: 'dense' });
    return [ppl, kl];
  },

  async cache({ wasm }, seed) {
    const cache = await KvCache.create({ ...SHAPE, type: seed % 2 ? 'f32' : 'q8', wasm });
    const copy = await KvCache.create({ ...SHAPE, type: seed % 2 ? 'f32' : 'q8', wasm });
    cache.append(rows(seed, 700));
    cache.remove(30, 200);
    cache.append(rows(seed + 5, 300));
    await inPieces(await bytesOf(cache.readable()), 7000).pipeTo(copy.writable());
    copy.truncate(900);
    copy.append(rows(seed + 9, 5));
    const seen = [cache, copy].map((each) =>
      WAYS.map((way) => [...attend(each, gaussian(seed, 4 * D), typeof way === 'string' ? { mode: 'dense' } : way).output]),
    );
    cache.free();
    copy.free();
    return seen;
  },

  async index({ wasm }, seed) {
    const index = await HsrIndex.create({ headDim: D, keys: gaussian(seed, 900 * D), wasm });
    index.remove(100, 300);
    index.append(gaussian(seed + 1, 500 * D));
    index.truncate(1200);
    const query = gaussian(seed + 2, D);
    const { positions, products } = index.top(query, 30);
    const seen = [[...positions], [...products], index.count(query, 1)];
    index.free();
    return seen;
  },

  async load({ model, threads }, seed) {
    const engine = await Engine.load(model, { threads });
    const list = await idsOf(engine.generate(ids(20, seed), { maxTokens: 3 }));
    engine.close();
    return list;
  },
};

/** Aborts at a look of the signal, or comes to its end before. @param {(signal: AbortSignal) => Promise<any>} run @param {number} n */
async function abortedAt(run, n) {
  const { signal } = abortingAt(n);
  const made = await run(signal);
  made?.free?.();
  made?.close?.();
}

/** @param {Stage} stage */
async function snapshotOf({ engine }) {
  const prefix = await engine.prefill(ids(180, 1));
  const bytes = await bytesOf(prefix.snapshot());
  prefix.free();
  return bytes;
}

/** @type {Record<string, {codes: string[], run: Fault}>} codes: of errors that it may end in; most may also end in none */
export const FAULTS = {
  'abort of a prefill': {
    codes: ['aborted'],
    run: (stage, random) => abortedAt((signal) => stage.engine.prefill(prompt(stage, 3), { signal }), 1 + Math.floor(4 * random())),
  },
  'abort of a generation': {
    codes: ['aborted'],
    run: ({ engine }, random) =>
      abortedAt((signal) => idsOf(engine.generate(ids(40, 2), { signal, maxTokens: 8 })), 1 + Math.floor(9 * random())),
  },
  'abort of a resume': {
    codes: ['aborted'],
    async run(stage, random) {
      const bytes = await snapshotOf(stage);
      await abortedAt((signal) => stage.engine.resume(inPieces(bytes, 9000), { signal }), 1 + Math.floor(20 * random()));
    },
  },
  'abort of a load': {
    codes: ['aborted'],
    run: ({ model, threads }, random) => abortedAt((signal) => Engine.load(model, { threads, signal }), 1 + Math.floor(60 * random())),
  },
  'a generation that is left': {
    codes: [],
    async run({ engine }, random) {
      const last = Math.floor(5 * random());
      for await (const { index } of engine.generate(ids(30, 3), { maxTokens: 20 })) if (index === last) return;
    },
  },
  'a snapshot that is left': {
    codes: [],
    async run({ engine }, random) {
      const prefix = await engine.prefill(ids(100, 4));
      const reader = prefix.snapshot().getReader();
      prefix.free();
      for (let left = Math.floor(6 * random()); left > 0; left--) await reader.read();
      await reader.cancel();
    },
  },
  'want of memory': {
    codes: ['out-of-memory'],
    run: async ({ engine }, random) =>
      (await engine.prefill(Array(2 ** 19 + Math.floor(1000 * random())).fill(5), { ctx: 2 ** 20 })).free(),
  },
  'too long a prompt': { codes: ['context-full'], run: ({ engine }) => engine.prefill(ids(5, 1), { ctx: 4 }) },
  'a damaged snapshot': {
    codes: ['bad-chunk', 'bad-file', 'unsupported'],
    async run(stage, random) {
      const bytes = await snapshotOf(stage);
      bytes[Math.floor(random() * bytes.length)] ^= 1 << Math.floor(8 * random());
      await stage.engine.resume(bytes);
    },
  },
  'a snapshot that is cut': {
    codes: ['bad-chunk'],
    async run(stage, random) {
      const bytes = await snapshotOf(stage);
      await stage.engine.resume(inPieces(bytes.slice(0, Math.floor(random() * bytes.length)), 5000));
    },
  },
  'rows that are no numbers': {
    codes: ['bad-argument'],
    async run({ wasm }) {
      const cache = await KvCache.create({ ...SHAPE, wasm });
      try {
        cache.append({ keys: gaussian(1, HEADS * D).fill(NaN, 5, 6), values: gaussian(1, HEADS * D) });
      } finally {
        cache.free();
      }
    },
  },
  'a file that is no model': { codes: ['bad-file'], run: () => Engine.load(new Uint8Array(1000).fill(71)) },
  'a worker that dies': {
    codes: ['worker-lost'],
    async run({ model }) {
      const { result: engine, workers } = await collectWorkers(() => WorkerEngine.load(model));
      try {
        const pieces = engine.generate(ids(20, 1), { maxTokens: 100 });
        await pieces.next();
        void workers[0].terminate();
        for await (const _ of pieces);
      } finally {
        engine.close();
      }
    },
  },
};
