/** Stand-alone caches and attend() against plain attention in double: every mode and strength, views, errors, memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { attend, HsrIndex, KvCache, reluThreshold } from '../../web/attention.js';
import { bruteAttention, product, relu, softmax, softmaxOfShare, softmaxOfTop, storedRows } from './helpers/brute-attention.js';
import { failure } from './helpers/failure.js';
import { fromHalf, toHalf } from './helpers/half.js';
import { clustered, distance, drifting, gaussian, toInt8 } from './helpers/vectors.js';

const TYPES = /** @type {const} */ (['q8', 'f32']);
const D = 64;
/** How far rounding may take an output, of values some 8 long: queries have 16 bits beside int8 keys. */
const ROUNDING = { q8: 2e-3, f32: 3e-5 };

/**
 * @param {number} seed
 * @param {number} n
 * @param {{type?: 'q8' | 'f32', kvHeads?: number, headDim?: number}} [options]
 */
async function filled(seed, n, { type = 'f32', kvHeads = 1, headDim = D } = {}) {
  const cache = await KvCache.create({ headDim, kvHeads, type });
  cache.append({ keys: clustered(seed, n * kvHeads, headDim), values: gaussian(seed + 1, n * kvHeads * headDim) });
  return cache;
}

/** Largest distance of the heads of two outputs. @param {ArrayLike<number>} x @param {ArrayLike<number>} y @param {number} d */
function worst(x, y, d = D) {
  let most = 0;
  for (let at = 0; at < y.length; at += d) {
    const part = (/** @type {ArrayLike<number>} */ z) => Array.from({ length: d }, (_, i) => z[at + i]);
    most = Math.max(most, distance(part(x), part(y)));
  }
  return most;
}

/** Longest value of a cache. @param {KvCache} cache */
function longestValue(cache) {
  let most = 0;
  for (let h = 0; h < cache.kvHeads; h++)
    for (let p = 0; p < cache.length; p++) most = Math.max(most, distance(cache.value(p, h), new Float32Array(cache.headDim)));
  return most;
}

/**
 * @param {KvCache} cache
 * @param {Float32Array} queries
 * @param {import('../../web/attention/attend.js').AttendOptions} options
 * @param {(logits: number[]) => number[]} weigh
 * @param {ReturnType<typeof storedRows>} rows
 */
function checkEqual(cache, queries, options, weigh, rows) {
  const { output, stats } = attend(cache, queries, options);
  const expected = bruteAttention(cache, queries, options, weigh, rows);
  assert.equal(output.length, queries.length);
  const error = worst(output, expected, cache.headDim);
  assert.ok(error <= ROUNDING[cache.type], `${JSON.stringify(options)}: error ${error}`);
  return stats;
}

/** What a query sees, and how. @type {import('../../web/attention/attend.js').ViewOptions[]} */
const VIEWS = [
  {},
  { scale: 0.5 },
  { scale: -0.02 },
  { softcap: 3 },
  { end: 300 },
  { end: 1 },
  { window: 100 },
  { window: 1 },
  { window: 2000 },
  { window: 64, sinks: 4 },
  { window: 400, sinks: 500 },
  { window: 50, sinks: 20, end: 700, softcap: 5, scale: 0.3 },
];

for (const type of TYPES) {
  test(`${type}: dense is softmax over every key that is seen`, async () => {
    const cache = await filled(1, 900, { type, kvHeads: 2 });
    const rows = storedRows(cache);
    for (const view of VIEWS) {
      checkEqual(cache, gaussian(3, 6 * D), { mode: 'dense', ...view }, softmax, rows);
      checkEqual(cache, gaussian(4, 5 * 4 * D), { mode: 'dense', n: 5, ...view }, softmax, rows);
      if (view.end !== 1) checkEqual(cache, gaussian(5, 70 * 2 * D), { mode: 'dense', n: 70, causal: true, ...view }, softmax, rows);
    }
    const removed = new Set([0, ...Array.from({ length: 200 }, (_, i) => 150 + i), 899]);
    cache.remove(0);
    cache.remove(150, 350);
    cache.remove(899);
    assert.equal(cache.size, 900 - removed.size);
    const left = storedRows(cache, removed);
    for (const view of VIEWS) checkEqual(cache, gaussian(6, 4 * D), { mode: 'dense', ...view }, softmax, left);
    cache.free();
  });

  test(`${type}: relu is the weighted sum over the keys above the threshold`, async () => {
    const cache = await filled(7, 1300, { type, kvHeads: 2 });
    const rows = storedRows(cache);
    for (const view of VIEWS) {
      for (const [b, alpha] of [
        [0, 1],
        [1.5, 2],
        [-2, 3],
      ])
        checkEqual(cache, gaussian(8, 4 * D), { mode: 'relu', b, alpha, ...view }, relu(b, alpha), rows);
    }
    checkEqual(cache, gaussian(9, 9 * 2 * D), { mode: 'relu', n: 9, causal: true }, relu(0, 1), rows);
    const { output } = attend(cache, gaussian(8, 2 * D), { mode: 'relu', b: 1e6 });
    assert.ok(
      output.every((x) => x === 0),
      'no key reaches it',
    );
    cache.free();
  });

  test(`${type}: exact takes the r largest logits, or the fewest that hold a share`, async () => {
    const cache = await filled(10, 2500, { type, kvHeads: 2 });
    const options = /** @type {const} */ ({ mode: 'hsr', strength: 'exact', denseBelow: 0 });
    const rows = storedRows(cache);
    for (const view of VIEWS) {
      for (const r of [1, 40, 2500]) checkEqual(cache, gaussian(11, 4 * D), { ...options, r, ...view }, softmaxOfTop(r), rows);
      for (const topP of [0.3, 0.9, 1]) checkEqual(cache, gaussian(12, 4 * D), { ...options, topP, ...view }, softmaxOfShare(topP), rows);
    }
    const r = Math.ceil(2500 ** 0.8);
    const { keysExact, queries } = checkEqual(cache, gaussian(13, 2 * D), options, softmaxOfTop(r), rows);
    assert.deepEqual([keysExact / queries, queries], [r, 2]);
    cache.free();
  });

  test(`${type}: certified bounds hold for every query`, async (t) => {
    const cache = await filled(14, 2000, { type });
    const longest = longestValue(cache);
    const rows = storedRows(cache);
    let used = 0;
    let bounds = 0;
    for (let i = 0; i < 300; i++) {
      const q = gaussian(15 + i, D, 0.5 + (i % 5) / 2);
      const view = VIEWS[i % 3 === 0 ? i % VIEWS.length : 0];
      const select = [{ eps: 0.3 }, { eps: 0.02 }, { r: 50 }, { topP: 0.8 }, {}][i % 5];
      const { output, stats } = attend(cache, q, { strength: 'certified', denseBelow: 0, ...select, ...view });
      const error = worst(output, bruteAttention(cache, q, view, softmax, rows));
      // The bound is on the choice of keys; rounding of what is computed exactly comes on top.
      assert.ok(error <= stats.errorMax + ROUNDING[type], `query ${i}: error ${error}, bound ${stats.errorMax}`);
      if (select.eps !== undefined)
        assert.ok(stats.errorMax <= select.eps * longest * 1.001, `query ${i}: ${stats.errorMax} for eps ${select.eps}`);
      assert.ok(stats.valueNorm <= longest * 1.001);
      used += stats.exactFraction / 300;
      bounds += stats.errorMax / 300;
    }
    t.diagnostic(`mean bound ${(bounds / longest).toFixed(3)} of the longest value, ${(100 * used).toFixed(1)} % of keys exact`);
    assert.ok(used < 0.9 && bounds > 0);
    cache.free();
  });

  test(`${type}: fast is close to dense, estimates its error, and evaluates few keys`, async (t) => {
    const n = 6000;
    const cache = await KvCache.create({ headDim: D, kvHeads: 2, type });
    const keys = drifting(16, 2 * n, D);
    cache.append({ keys, values: gaussian(17, 2 * n * D) });
    const queries = gaussian(18, 40 * 4 * D, 0.3);
    for (let i = 0; i < queries.length; i++) queries[i] += 2 * keys[Math.floor(i / D) * 70 * D + (i % D)];
    const run = (/** @type {import('../../web/attention/attend.js').AttendOptions} */ options) => {
      let relative = 0;
      let exact = 0;
      let estimate = 0;
      for (let i = 0; i < 40; i++) {
        const q = queries.subarray(i * 4 * D, (i + 1) * 4 * D);
        const dense = attend(cache, q, { mode: 'dense' }).output;
        const { output, stats } = attend(cache, q, options);
        relative += distance(output, dense) / distance(dense, new Float32Array(4 * D)) / 40;
        exact += stats.exactFraction / 40;
        estimate += stats.errorRelativeMean / 40;
      }
      t.diagnostic(
        `${JSON.stringify(options)}: error ${relative.toFixed(4)}, estimate ${estimate.toFixed(4)}, ${(100 * exact).toFixed(1)} % exact`,
      );
      return { relative, exact, estimate };
    };
    const normal = run({});
    // Random values cancel in the output: errors relative to it are larger than on a model's.
    assert.ok(normal.relative < 0.1 && normal.exact < 0.1, JSON.stringify(normal));
    const coarse = run({ theta: 0.01, leafTheta: 0.01, valueTheta: 0.01 });
    assert.ok(coarse.exact < normal.exact && coarse.relative > normal.relative, 'thresholds act');
    assert.ok(normal.estimate > 0 && coarse.estimate > normal.estimate, 'and the estimate knows');
    const dropped = run({ theta: 0.01, leafTheta: 0.01, valueTheta: 0.01, farField: false });
    assert.ok(dropped.relative > coarse.relative, 'the far field helps');
    cache.free();
  });
}

test('reported keys are those that were evaluated, with their shares', async () => {
  const cache = await filled(18, 2500, { kvHeads: 2 });
  const queries = gaussian(19, 3 * 4 * D);
  const options = /** @type {const} */ ({ n: 3, causal: true, strength: 'exact', r: 20, denseBelow: 0 });
  const { output, reported, stats } = attend(cache, queries, { ...options, reported: true });
  assert.deepEqual(output, attend(cache, queries, options).output);
  assert.equal(reported?.length, 6);
  assert.equal(stats.queries, 12);
  for (const { positions, shares } of reported ?? []) {
    assert.deepEqual([positions.length, shares.length], [2 * 20, 2 * 2 * 20], '20 for each head of the group');
    for (const g of [0, 1]) assert.ok(Math.abs(shares.reduce((sum, x, i) => sum + (i % 2 === g ? x : 0), 0) - 1) < 1e-5);
  }
  const one = attend(cache, queries.subarray(0, 2 * D), { strength: 'exact', r: 20, denseBelow: 0, reported: true });
  for (const h of [0, 1]) {
    const q = queries.subarray(h * D, (h + 1) * D);
    const products = Array.from({ length: 2500 }, (_, p) => product(q, cache.key(p, h)));
    const least = products.slice().sort((x, y) => y - x)[19];
    const { positions, shares } = /** @type {import('../../web/attention/attend.js').ReportedKeys[]} */ (one.reported)[h];
    assert.deepEqual(
      [...positions].sort((x, y) => x - y),
      products.flatMap((x, p) => (x >= least ? [p] : [])),
    );
    assert.ok(Math.abs(shares.reduce((sum, x) => sum + x, 0) - 1) < 1e-5);
    const sum = new Float32Array(D);
    positions.forEach((p, i) => cache.value(p, h).forEach((x, d) => (sum[d] += shares[i] * x)));
    assert.ok(distance(sum, one.output.subarray(h * D, (h + 1) * D)) < 1e-4);
  }
  const dense = attend(cache, queries.subarray(0, 4 * D), { mode: 'dense', reported: true });
  for (const { positions, shares } of dense.reported ?? []) assert.deepEqual([positions.length, shares.length], [2500, 5000]);
  cache.free();
});

test('a block of causal queries is what its queries are one by one', async () => {
  const n = 150;
  for (const type of TYPES) {
    const cache = await filled(20, 2000, { type, kvHeads: 2 });
    const queries = gaussian(21, n * 4 * D);
    for (const options of /** @type {import('../../web/attention/attend.js').AttendOptions[]} */ ([
      { mode: 'dense' },
      { mode: 'dense', window: 300, sinks: 4 },
      { mode: 'relu', b: 1, alpha: 2 },
      { strength: 'exact', r: 30, denseBelow: 0 },
      { strength: 'certified', eps: 0.1, denseBelow: 0 },
    ])) {
      const block = attend(cache, queries, { ...options, n, causal: true });
      for (const i of [0, 1, 77, 127, 128, n - 1]) {
        const at = i * 4 * D;
        const one = attend(cache, queries.subarray(at, at + 4 * D), { ...options, end: 2000 - (n - 1 - i) });
        const error = worst(block.output.subarray(at, at + 4 * D), one.output);
        assert.ok(error <= ROUNDING[type], `${type} ${JSON.stringify(options)}, query ${i}: ${error}`);
      }
    }
    const dense = attend(cache, queries, { mode: 'dense', n, causal: true }).output;
    const exact = attend(cache, queries, { prefill: 'exact', n, causal: true });
    assert.ok(worst(exact.output, dense) <= ROUNDING[type]);
    const { output, stats } = attend(cache, queries, { n, causal: true, leafTheta: 0.01, denseBelow: 0 });
    const error = distance(output, dense) / distance(dense, new Float32Array(dense.length));
    assert.ok(error > 0 && error < 0.25, `Algorithm 2: ${error}`);
    assert.ok(stats.exactFraction < 1, `${stats.exactFraction}`);
    cache.free();
  }
});

test('all input types, in parts, give what their numbers as f32 give', async () => {
  const [kvHeads, n, headDim] = [3, 9000, 16]; // more than one part of the staging buffer
  const rows = { keys: gaussian(22, n * kvHeads * headDim), values: gaussian(23, n * kvHeads * headDim) };
  const halves = { keys: Uint16Array.from(rows.keys, toHalf), values: Uint16Array.from(rows.values, toHalf) };
  const scaled = toInt8(rows.values, headDim);
  const cache = await KvCache.create({ headDim, kvHeads, type: 'f32' });
  assert.equal(cache.append({ keys: halves.keys, values: scaled }), 0);
  assert.equal(cache.append(halves), n);
  assert.deepEqual([cache.length, cache.size], [2 * n, 2 * n]);
  for (const p of [0, 1, 5461, 5462, n - 1]) {
    for (let h = 0; h < kvHeads; h++) {
      const at = (p * kvHeads + h) * headDim;
      assert.deepEqual(cache.key(p, h), Float32Array.from(halves.keys.subarray(at, at + headDim), fromHalf));
      assert.deepEqual(cache.value(n + p, h), Float32Array.from(halves.values.subarray(at, at + headDim), fromHalf));
      const scale = scaled.scales[p * kvHeads + h];
      assert.deepEqual(
        cache.value(p, h),
        Float32Array.from(scaled.values.subarray(at, at + headDim), (x) => Math.fround(scale) * x),
      );
    }
  }
  const query = Uint16Array.from(gaussian(24, kvHeads * headDim), toHalf);
  const same = Float32Array.from(query, fromHalf);
  assert.deepEqual(attend(cache, query, { mode: 'dense' }).output, attend(cache, same, { mode: 'dense' }).output);
  cache.free();
});

test('an append is whole or not at all, for every head', async () => {
  const cache = await filled(25, 1500, { kvHeads: 2 });
  const q = gaussian(26, 2 * D);
  const before = attend(cache, q, { mode: 'dense' }).output;
  const n = 5000;
  const good = gaussian(27, n * 2 * D);
  const bad = good.slice();
  bad[n * 2 * D - 1] = NaN;
  assert.throws(() => cache.append({ keys: bad, values: good }), failure('bad-argument', 'keys', NaN));
  assert.throws(() => cache.append({ keys: good, values: bad }), failure('bad-argument', 'values', NaN));
  assert.deepEqual([cache.length, cache.size], [1500, 1500]);
  assert.deepEqual(attend(cache, q, { mode: 'dense' }).output, before);
  assert.equal(cache.append({ keys: good, values: good }), 1500);
  cache.truncate(1500);
  assert.deepEqual(attend(cache, q, { mode: 'dense' }).output, before, 'cut back to what it was');
  cache.free();
});

test('an empty cache gives zeros', async () => {
  const cache = await KvCache.create({ headDim: D, kvHeads: 2 });
  for (const mode of /** @type {const} */ (['dense', 'hsr', 'relu']))
    assert.ok(attend(cache, gaussian(28, 4 * D), { mode }).output.every((x) => x === 0));
  cache.append({ keys: gaussian(29, 2 * D), values: gaussian(30, 2 * D) });
  cache.remove(0);
  for (const mode of /** @type {const} */ (['dense', 'hsr', 'relu']))
    assert.ok(attend(cache, gaussian(28, 4 * D), { mode }).output.every((x) => x === 0));
  cache.free();
});

test("the paper's threshold leaves at most 2 n^(4/5) keys", () => {
  const [n, d, m] = [2000, D, 20];
  const [sigmaQ, sigmaK] = [0.7, 1.3];
  const b = reluThreshold({ n, d, m, delta: 0.01, sigmaQ, sigmaK });
  assert.ok(Math.abs(b - 4 * Math.sqrt(1 + Math.log(m / 0.01) / d) * sigmaQ * sigmaK * Math.sqrt(0.4 * Math.log(n))) < 1e-9);
  const keys = gaussian(31, n * d, sigmaK);
  for (let i = 0; i < m; i++) {
    const q = gaussian(32 + i, d, sigmaQ);
    let above = 0;
    for (let p = 0; p < n; p++) if (product(q, keys.subarray(p * d, (p + 1) * d)) / Math.sqrt(d) >= b) above++;
    assert.ok(above <= 2 * n ** 0.8, `${above}`);
  }
  for (const [wrong, field] of /** @type {const} */ ([
    [{ n: 0 }, 'n'],
    [{ d: 1.5 }, 'd'],
    [{ m: 0 }, 'm'],
    [{ delta: 0 }, 'delta'],
    [{ sigmaK: NaN }, 'sigmaK'],
  ]))
    assert.throws(() => reluThreshold({ n, d, ...wrong }), failure('bad-argument', field));
});

test('errors name the argument, its value and its limit, and the cache stays usable', async () => {
  const cache = await filled(33, 1200, { kvHeads: 2 });
  const q = gaussian(34, 4 * D);
  const before = attend(cache, q, { mode: 'dense' }).output;
  const index = await HsrIndex.create({ headDim: D });
  const inCall = /** @type {[any, string, unknown][]} */ ([
    [{ mode: 'sparse' }, 'mode', 'dense, hsr, relu'],
    [{ strength: 'slow' }, 'strength', 'fast, certified, exact'],
    [{ mode: 'relu', alpha: 0 }, 'alpha', 1],
    [{ mode: 'relu', alpha: 9 }, 'alpha', 8],
    [{ mode: 'relu', alpha: 1.5 }, 'alpha', undefined],
    [{ mode: 'relu', b: NaN }, 'b', undefined],
    [{ mode: 'relu', b: Infinity }, 'b', 3e38],
    [{ r: 1201 }, 'r', 1200],
    [{ r: 0 }, 'r', 1],
    [{ r: 2.5 }, 'r', undefined],
    [{ topP: 0 }, 'topP', 0],
    [{ topP: 1.1 }, 'topP', 1],
    [{ eps: 1e-5 }, 'eps', 1e-4],
    [{ eps: 2 }, 'eps', 1],
    [{ theta: 0 }, 'theta', 0],
    [{ theta: NaN }, 'theta', undefined],
    [{ theta: '0.1' }, 'theta', undefined],
    [{ theta: 0.1, strength: 'exact' }, 'theta', 'fast'],
    [{ r: 5, topP: 0.5 }, 'topP', 'one of r, topP'],
    [{ leafTheta: 2 }, 'leafTheta', 1],
    [{ valueTheta: -1 }, 'valueTheta', 0],
    [{ farField: 'third' }, 'farField', 'first, second'],
    [{ denseBelow: -1 }, 'denseBelow', 0],
    [{ prefill: 'fast' }, 'prefill', 'exact, hsr'],
    [{ end: 0 }, 'end', 1],
    [{ end: 1201 }, 'end', 1200],
    [{ window: -1 }, 'window', 0],
    [{ sinks: 0.5 }, 'sinks', undefined],
    [{ scale: 0 }, 'scale', undefined],
    [{ scale: NaN }, 'scale', undefined],
    [{ softcap: -1 }, 'softcap', 0],
    [{ n: 0 }, 'n', 1],
    [{ n: 2, causal: true, end: 1 }, 'n', 1],
  ]);
  /** @type {{run: () => unknown, field: string, value: unknown, limit: unknown}[]} */
  const cases = inCall.map(([options, field, limit]) => ({ run: () => attend(cache, q, options), field, value: options[field], limit }));
  const also = /** @type {[() => unknown, string, unknown, unknown][]} */ ([
    [() => attend(cache, gaussian(35, D)), 'queries', D, 2 * D],
    [() => attend(cache, q, { n: 4 }), 'queries', 4 * D, 8 * D],
    [() => attend(cache, new Float32Array(0)), 'queries', 0, 2],
    [() => attend(cache, gaussian(35, 34 * D)), 'queries', 34, 32],
    [() => attend(cache, new Float32Array(2 * D).fill(NaN)), 'queries', NaN, 1e15],
    [() => attend(cache, /** @type {any} */ ('q')), 'queries', 'q', undefined],
    [() => attend(/** @type {any} */ (index), q), 'cache', index, 'KvCache'],
    [() => cache.append({ keys: q, values: q.subarray(0, 2 * D) }), 'values', 2 * D, 4 * D],
    [() => cache.append({ keys: q.subarray(0, D), values: q }), 'keys', D, 2 * D],
    [() => cache.append(/** @type {any} */ ({ keys: q })), 'values', undefined, undefined],
    [() => cache.key(0, 2), 'kvHead', 2, 1],
    [() => cache.value(1200), 'position', 1200, 1199],
    [() => cache.remove(5, 4), 'to', 4, 5],
    [() => cache.truncate(-1), 'length', -1, 0],
  ]);
  for (const [run, field, value, limit] of also) cases.push({ run, field, value, limit });
  for (const { run, field, value, limit } of cases) {
    assert.throws(run, (/** @type {any} */ error) => {
      assert.ok(failure('bad-argument', field)(error), `${field}: ${error}`);
      assert.ok(error.message.startsWith(field), error.message);
      assert.deepEqual(error.value, value, error.message);
      if (limit !== undefined) assert.deepEqual(error.limit, limit, error.message);
      return true;
    });
  }
  for (const kvHeads of [0, 257, 1.5])
    await assert.rejects(KvCache.create({ headDim: D, kvHeads }), failure('bad-argument', 'kvHeads', kvHeads));
  await assert.rejects(KvCache.create({ headDim: 12 }), failure('bad-argument', 'headDim', 12));
  assert.deepEqual(attend(cache, q, { mode: 'dense' }).output, before);
  assert.deepEqual([cache.length, cache.size], [1200, 1200]);
  cache.free();
  index.free();
});

test('memory comes back, and a freed cache says so', async () => {
  const other = await KvCache.create({ headDim: D });
  const { core } = other;
  const baseline = core.used();
  const q = gaussian(36, 4 * D);
  for (let round = 0; round < 2; round++) {
    const cache = await filled(37, 3000, { type: 'q8', kvHeads: 2 });
    assert.equal(cache.core, core);
    attend(cache, q, { strength: 'certified', reported: true });
    attend(cache, gaussian(38, 20 * 4 * D), { n: 20, causal: true });
    assert.equal(core.used() - baseline, cache.memoryBytes);
    assert.ok(cache.memoryBytes > 3000 * cache.bytesPerKey && cache.bytesPerKey > 2 * 2 * D);
    cache.free();
    cache.free();
    assert.deepEqual([core.used(), cache.memoryBytes], [baseline, 0]);
    const calls = [
      () => cache.append({ keys: q, values: q }),
      () => attend(cache, q),
      () => cache.key(0),
      () => cache.value(0),
      () => cache.remove(0),
      () => cache.truncate(0),
      () => cache.length,
      () => cache.size,
    ];
    for (const call of calls) assert.throws(call, failure('closed', 'cache'), String(call));
  }
  if (Symbol.dispose) /** @type {any} */ (other)[Symbol.dispose]();
  else other.free();
  assert.throws(() => other.length, failure('closed', 'cache'));
});
