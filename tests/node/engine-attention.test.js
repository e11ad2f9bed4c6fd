/** Attention inside the engine: options per layer and head, what a decode step did, prompts by Algorithm 2, real keys. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { attend, HsrIndex, KvCache } from '../../web/attention.js';
import { Context } from '../../web/generation/context.js';
import { compareDistributions } from '../../web/generation/distributions.js';
import { Engine } from '../../web/index.js';
import { failure } from './helpers/failure.js';
import { modelPath } from './helpers/model.js';

const TOKENS = 2400;
/** @type {Engine} */
let engine;
/** @type {number[]} */
let ids;
/** Prefilled exactly. @type {Context} */
let shared;

before(async () => {
  engine = await Engine.load(await modelPath());
  const text = await readFile(new URL('../../demo/documents/alice.txt', import.meta.url), 'utf8');
  ids = engine.tokenize(text.slice(400)).slice(0, TOKENS + 40);
  shared = context(TOKENS);
  await shared.prefill(ids.slice(0, TOKENS), { logits: 'none' });
});
after(() => {
  shared.release();
  engine.close();
});

/** @param {number} capacity @param {Context} [parent] */
const context = (capacity, parent) => new Context(engine.wasm, engine.model, engine.config, { capacity, kv: 'q8', parent });

/**
 * Logits of the tokens after the shared ones.
 * @param {Parameters<Context['setAttention']>[0]} attention
 * @param {number} n
 */
function decoded(attention, n) {
  const own = context(n, shared);
  own.setAttention(attention);
  const logits = [];
  for (const id of ids.slice(TOKENS, TOKENS + n)) {
    own.decode(id);
    logits.push(own.logits().slice());
  }
  const stats = own.stats();
  own.release();
  return { logits, stats };
}

/** @param {Float32Array[]} reference @param {Float32Array[]} other */
const meanKl = (reference, other) => reference.reduce((sum, x, i) => sum + compareDistributions(x, other[i]).kl, 0) / reference.length;

test('every strength stays as close to dense as it says', (t) => {
  const dense = decoded('dense', 6);
  const cases = /** @type {[Parameters<Context['setAttention']>[0], number][]} */ ([
    [{}, 0.002],
    [{ farField: 'first' }, 0.005],
    [{ r: 256 }, 0.01],
    [{ topP: 0.9 }, 0.01],
    [{ strength: 'exact' }, 0.1],
    [{ strength: 'exact', topP: 0.99 }, 0.05],
    [{ strength: 'certified', eps: 0.1 }, 0.002],
  ]);
  for (const [attention, most] of cases) {
    const { logits, stats } = decoded(attention, 6);
    const kl = meanKl(dense.logits, logits);
    t.diagnostic(`${JSON.stringify(attention)}: KL ${kl.toFixed(5)}, exact ${(100 * stats.exactFraction).toFixed(1)} %`);
    assert.ok(kl > 0 && kl < most, `${JSON.stringify(attention)}: KL ${kl}`);
    assert.ok(stats.exactFraction < 0.9);
  }
});

test('certified attention keeps its bound in every layer, and says what it cost', (t) => {
  const { stats } = decoded({ strength: 'certified', eps: 0.1, epsOf: 'output' }, 4);
  const refined = stats.keysRefined / stats.keysVisible;
  t.diagnostic(
    `bound ${stats.errorRelativeMean.toFixed(4)} of the output, refined ${refined.toFixed(3)}, exact ${stats.exactFraction.toFixed(3)}`,
  );
  assert.ok(stats.errorRelativeMean > 0 && stats.errorRelativeMean <= 0.1);
  assert.ok(refined < 0.7 && stats.exactFraction < 0.4);
});

test('options per layer and KV head', async () => {
  const own = context(2, shared);
  own.setAttention({
    mode: 'dense',
    heads: [
      { layer: 3, mode: 'hsr', denseBelow: 0, denseAbove: 1 },
      { kvHead: 2, mode: 'hsr', strength: 'exact', r: 10 },
    ],
  });
  own.decode(ids[TOKENS]);
  assert.equal(own.stats(0, 0).exactFraction, 1);
  assert.ok(own.stats(3, 0).leavesOpened > 0 && own.stats(3, 1).exactFraction < 1);
  assert.equal(own.stats(3, 2).keysExact, 30, 'ten keys for each of the three query heads');
  assert.equal(own.stats(7).queries, 9);
  assert.throws(() => own.stats(99), failure('bad-argument', 'layer'));
  assert.throws(() => own.setAttention({ heads: [{ layer: 30 }] }), failure('bad-argument', 'attention.heads[0].layer'));
  assert.throws(() => own.setAttention({ heads: [{ r: 3, topP: 0.5 }] }), failure('bad-argument', 'attention.heads[0].topP'));
  own.release();
  const before = engine.info.memoryBytes;
  await assert.rejects(
    engine.prefill('a', { attention: { heads: [{ kvHead: 3 }] } }),
    failure('bad-argument', 'attention.heads[0].kvHead'),
  );
  assert.equal(engine.info.memoryBytes, before, 'nothing leaks');
});

test('pieces tell which keys attention reported, by layer and head', async () => {
  const prefix = await engine.prefill(ids.slice(0, 600));
  let steps = 0;
  const before = engine.info.memoryBytes;
  /** @type {import('../../web/engine.js').GenerateStats | undefined} */
  let total;
  const pieces = engine.generate(ids.slice(600, 604), {
    prefix,
    maxTokens: 3,
    watch: { layer: 4 },
    attention: { strength: 'exact', r: 7 },
    onStats: (stats) => (total = stats),
  });
  for await (const { step, index } of pieces) {
    assert.equal(step === undefined, index === 0, 'the first token comes from the prompt');
    if (!step) continue;
    steps++;
    assert.equal(step.stats(4, 1).keysExact, 21);
    const { positions, shares, total: reported } = step.reported(4, 1);
    assert.equal(reported, 21);
    assert.equal(positions.length, 21);
    assert.ok(positions.every((p) => p >= 0 && p < 604 + index));
    const sums = [0, 1, 2].map((g) => shares.reduce((sum, share, i) => sum + (i % 3 === g ? share : 0), 0));
    for (const sum of sums) assert.ok(Math.abs(sum - 1) < 1e-5, `shares ${sums}`);
    assert.equal(step.reported(5, 0).total, 0, 'layers that are not watched have none');
  }
  assert.equal(steps, 2);
  assert.equal(total?.attention.keysExact, 2 * 30 * 3 * 21, 'statistics of all steps add up');
  assert.equal(engine.info.memoryBytes, before, 'nothing leaks');
  prefix.free();
});

test('a prompt by Algorithm 2 leaves almost the same cache as an exact one', async (t) => {
  const sparse = context(TOKENS + 1);
  sparse.setAttention({ prefill: 'hsr', denseBelow: 1 });
  await sparse.prefill(ids.slice(0, TOKENS), { logits: 'none' });
  const { exactFraction } = sparse.stats();
  sparse.setAttention('dense');
  sparse.decode(ids[TOKENS]);
  const logits = sparse.logits().slice();
  sparse.release();
  const { kl } = compareDistributions(decoded('dense', 1).logits[0], logits);
  t.diagnostic(`KL ${kl.toFixed(5)}, ${(100 * exactFraction).toFixed(0)} % of the keys exact`);
  assert.ok(kl < 0.01 && exactFraction < 0.8);
});

test('real keys: index and attention outside of the engine give what it gives', async () => {
  const own = context(1, shared);
  own.watch({ layer: 5 });
  own.decode(ids[TOKENS]);
  const queries = own.queries().slice(5 * 9 * 64, 6 * 9 * 64);
  const cache = await KvCache.create({ headDim: 64, kvHeads: 3, type: 'f32' });
  const heads = [0, 1, 2].map((h) => own.rows(5, h));
  const n = own.length;
  own.release();
  const interleave = (/** @type {'keys' | 'values'} */ which) => {
    const rows = new Float32Array(n * 3 * 64);
    for (let i = 0; i < n; i++) heads.forEach((head, h) => rows.set(head[which].subarray(i * 64, (i + 1) * 64), (i * 3 + h) * 64));
    return rows;
  };
  cache.append({ keys: interleave('keys'), values: interleave('values') });
  const dense = attend(cache, queries, { mode: 'dense' }).output;
  const certified = attend(cache, queries, { strength: 'certified', eps: 0.05, epsOf: 'output' });
  const error = Math.hypot(...dense.map((x, i) => x - certified.output[i])) / Math.hypot(...dense);
  assert.ok(error < 0.05 && certified.stats.errorRelativeMean <= 0.05 && certified.stats.exactFraction < 1, `${error}`);
  const index = await HsrIndex.create({ headDim: 64, keys: heads[1].keys });
  const query = queries.subarray(3 * 64, 4 * 64);
  const { positions, products } = index.top(query, 50);
  const reported = index.report(query, products[49]);
  assert.deepEqual(
    [...reported.positions],
    [...positions].sort((a, b) => a - b),
  );
  index.free();
  cache.free();
});
