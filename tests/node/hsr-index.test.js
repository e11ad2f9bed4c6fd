/** The stand-alone index against brute force: reports, counts, tops, all input types, removal, errors, memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HsrIndex } from '../../web/attention.js';
import { bruteReport, bruteTop, product } from './helpers/brute-attention.js';
import { failure } from './helpers/failure.js';
import { fromHalf, toHalf } from './helpers/half.js';
import { seededRandom } from './helpers/random.js';
import { clustered, distance, gaussian, toInt8 } from './helpers/vectors.js';

const TYPES = /** @type {const} */ (['q8', 'f32']);
const STRATEGIES = /** @type {const} */ (['auto', 'brute', 'screen', 'tree']);

/** @param {HsrIndex} index @returns {[number, Float32Array][]} the keys it holds, as stored */
const stored = (index) => Array.from(index, ({ position, key }) => [position, key]);

/** @param {{positions: Int32Array, products: Float32Array}} found */
const plain = ({ positions, products }) => ({ positions: [...positions], products: [...products] });

/**
 * Every kind of query by every strategy against brute force.
 * @param {HsrIndex} index
 * @param {Float32Array} q
 */
function checkQuery(index, q) {
  const keys = stored(index);
  const all = bruteTop(q, keys, keys.length).products;
  // Thresholds beyond both ends, at products that occur, and between floats.
  const thresholds = [0, all[0], all[0] * 2 + 1, all[all.length >> 1], all[all.length >> 3] + 1e-12, all[all.length - 1] - 1];
  for (const strategy of STRATEGIES) {
    for (const b of thresholds) {
      const expected = bruteReport(q, keys, b);
      assert.deepEqual(plain(index.report(q, b, { strategy })), expected, `${strategy}, b ${b}`);
      assert.equal(index.count(q, b, { strategy }), expected.positions.length);
    }
    for (const r of [1, 2, 33, keys.length]) {
      const expected = bruteTop(q, keys, r);
      assert.deepEqual(plain(index.top(q, r, { strategy })), expected, `${strategy}, r ${r}`);
      assert.deepEqual(plain(index.top(q, r, { strategy, guess: expected.products[r - 1] })), expected, 'guessed');
      assert.deepEqual(plain(index.top(q, r, { strategy, guess: 1e9 })), expected, 'guessed too high');
    }
  }
}

for (const type of TYPES) {
  test(`${type}: report, count and top are brute force`, async () => {
    const headDim = 64;
    const index = await HsrIndex.create({ headDim, type, keys: clustered(1, 1500, headDim) });
    index.append(clustered(2, 1, headDim));
    index.append(clustered(3, 500, headDim, { spread: 1e-4 }));
    index.append(new Float32Array(40 * headDim)); // zeros
    index.append(gaussian(4, 30 * headDim, 1e-20));
    index.append(gaussian(5, 5 * headDim, 1e12));
    assert.equal(index.length, 2076);
    for (const q of [gaussian(6, headDim), clustered(3, 1, headDim), new Float32Array(headDim), gaussian(7, headDim, 1e-25)])
      checkQuery(index, q);
    index.free();
  });

  test(`${type}: removal, truncation and appending keep positions`, async () => {
    const headDim = 16;
    const index = await HsrIndex.create({ headDim, type, maxChunk: 128 });
    const random = seededRandom(8);
    /** @type {Map<number, Float32Array>} */
    const model = new Map();
    let length = 0;
    for (let step = 0; step < 60; step++) {
      const n = Math.floor(150 * random());
      if (step % 3 < 2) {
        assert.equal(index.append(clustered(step, n, headDim)), length);
        for (let i = 0; i < n; i++) model.set(length + i, index.key(length + i));
        length += n;
      } else if (step % 2 === 0) {
        const from = step % 12 === 2 ? 0 : Math.floor(length * random());
        const to = Math.min(length, from + n);
        index.remove(from, to);
        for (let p = from; p < to; p++) model.delete(p);
      } else {
        length = Math.floor(length * (0.7 + 0.3 * random()));
        index.truncate(length);
        for (const p of model.keys()) if (p >= length) model.delete(p);
      }
      assert.deepEqual([index.length, index.size], [length, model.size], `step ${step}`);
    }
    assert.deepEqual(
      stored(index),
      [...model].sort(([p], [q]) => p - q),
    );
    checkQuery(index, gaussian(9, headDim));
    index.remove(0, length);
    assert.deepEqual([stored(index), index.size, index.length], [[], 0, length]);
    assert.equal(index.report(gaussian(9, headDim), -1e9).positions.length, 0);
    assert.equal(index.append(clustered(99, 3, headDim)), length, 'positions go on');
    index.free();
  });
}

test('f16 and int8 keys are the numbers they stand for, beyond one part of the staging buffer', async () => {
  const headDim = 16;
  const n = 40_000;
  const rows = gaussian(10, n * headDim);
  const half = Uint16Array.from(rows, toHalf);
  const scaled = toInt8(rows, headDim);
  const expected = {
    f32: rows,
    f16: Float32Array.from(half, fromHalf),
    i8: Float32Array.from(scaled.values, (x, i) => Math.fround(scaled.scales[Math.floor(i / headDim)]) * x),
  };
  const given = /** @type {const} */ ({ f32: rows, f16: half, i8: scaled });
  for (const type of /** @type {const} */ (['f32', 'f16', 'i8'])) {
    const index = await HsrIndex.create({ headDim, type: 'f32', keys: given[type] });
    assert.equal(index.length, n);
    for (const p of [0, 1, 16_383, 16_384, 32_768, n - 1])
      assert.deepEqual(index.key(p), expected[type].slice(p * headDim, (p + 1) * headDim), `${type} ${p}`);
    index.free();
  }
  const specials = Uint16Array.from([0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x7bff, 0xfbff, 0x3c00, 0xbc00, 0x3555, 2, 3, 4, 5, 6]);
  const index = await HsrIndex.create({ headDim, type: 'f32', keys: specials });
  assert.deepEqual(index.key(0), Float32Array.from(specials, fromHalf));
  const query = Uint16Array.from(rows.subarray(0, headDim), toHalf);
  assert.equal(index.report(query, -1e30).products[0], product(Float32Array.from(query, fromHalf), index.key(0)));
  index.free();
});

test('a Float16Array is taken where the runtime has one', async (t) => {
  const { Float16Array } = /** @type {{Float16Array?: new (numbers: number[]) => import('../../web/attention/rows.js').F16Array}} */ (
    globalThis
  );
  if (!Float16Array) return t.skip('this runtime has none');
  const numbers = Array.from({ length: 16 }, (_, i) => i / 8);
  const index = await HsrIndex.create({ headDim: 16, type: 'f32', keys: new Float16Array(numbers) });
  assert.deepEqual([...index.key(0)], numbers);
  index.free();
});

test('more results than one call has room for', async () => {
  const headDim = 16;
  const index = await HsrIndex.create({ headDim, keys: gaussian(11, 70_000 * headDim) });
  const q = gaussian(12, headDim);
  const { positions, products, stats } = index.report(q, -1e9);
  assert.equal(positions.length, 70_000);
  assert.ok(positions.every((p, i) => p === i));
  assert.equal(products[69_999], product(q, index.key(69_999)));
  assert.equal(stats.keysReported, 70_000);
  assert.equal(index.top(q, 69_000).products[68_999], products.slice().sort((x, y) => y - x)[68_999]);
  index.free();
});

test('stored keys stay within the distance that is told', async () => {
  const headDim = 64;
  const keys = clustered(13, 600, headDim);
  for (const type of TYPES) {
    const index = await HsrIndex.create({ headDim, type, keys });
    for (let p = 0; p < 600; p++) {
      const far = distance(index.key(p), keys.subarray(p * headDim, (p + 1) * headDim));
      assert.ok(far <= index.keyDistance(p) && index.keyDistance(p) < 0.5, `${type} ${p}: ${far}, ${index.keyDistance(p)}`);
    }
    if (type === 'f32') assert.equal(index.keyDistance(0), 0);
    index.free();
  }
});

test('the cascade saves work, a temporal guess saves more, and neither changes results', async () => {
  const headDim = 64;
  const index = await HsrIndex.create({ headDim, keys: clustered(14, 20_000, headDim, { spread: 0.1 }) });
  const q = clustered(15, 1, headDim);
  const cold = index.top(q, 20);
  const warm = index.top(q, 20, { temporal: true });
  assert.deepEqual(plain(warm), plain(cold));
  const exact = index.report(q, cold.products[19]);
  assert.equal(exact.stats.keysReported, exact.positions.length);
  assert.ok(exact.stats.keysExact < 2000, `${exact.stats.keysExact} exact`);
  assert.ok(index.report(q, cold.products[19], { strategy: 'tree' }).stats.leavesBounded > 0);
  assert.equal(index.report(q, cold.products[19], { strategy: 'tree' }).stats.keysScreened < 20_000, true);
  assert.ok(exact.stats.timeMs >= 0);
  index.free();
});

test('calibration sets costs and leaves results as they are', async () => {
  const headDim = 32;
  const index = await HsrIndex.create({ headDim, keys: clustered(16, 3000, headDim) });
  const q = gaussian(17, headDim);
  const before = plain(index.top(q, 50));
  const used = index.core.used();
  const costs = await HsrIndex.calibrate();
  for (const [name, cost] of Object.entries(costs)) assert.ok(cost > 0 && cost < 1e5, `${name}: ${cost}`);
  assert.equal(index.core.used(), used);
  assert.deepEqual(plain(index.top(q, 50)), before);
  index.free();
});

test('an append is whole or not at all', async () => {
  const headDim = 16;
  const index = await HsrIndex.create({ headDim, keys: clustered(18, 500, headDim) });
  const q = gaussian(19, headDim);
  const before = [stored(index), plain(index.top(q, 500))];
  const keys = gaussian(20, 40_000 * headDim);
  for (const [value, at] of [
    [NaN, 39_999 * headDim + 3],
    [-Infinity, 16_384 * headDim],
    [1.1e15, 0],
  ]) {
    const bad = keys.slice();
    bad[at] = value;
    assert.throws(() => index.append(bad), failure('bad-argument', 'keys', Math.fround(value)));
    assert.throws(() => index.append(bad), new RegExp(`vector ${Math.floor(at / headDim)}, dimension ${at % headDim}`));
    assert.deepEqual([index.length, index.size], [500, 500]);
  }
  assert.throws(() => index.append(new Uint16Array(headDim).fill(0x7c00)), failure('bad-argument', 'keys', Infinity));
  const scaled = { values: new Int8Array(headDim).fill(1), scales: new Float32Array([NaN]) };
  assert.throws(() => index.append(scaled), failure('bad-argument', 'keys', NaN));
  assert.deepEqual([stored(index), plain(index.top(q, 500))], before);
  await assert.rejects(HsrIndex.create({ headDim, keys: new Float32Array(headDim).fill(NaN) }), failure('bad-argument', 'keys', NaN));
  index.free();
});

test('errors name the argument, its value and its limit, and the index stays usable', async () => {
  const headDim = 16;
  const index = await HsrIndex.create({ headDim, keys: clustered(21, 300, headDim) });
  const q = gaussian(22, headDim);
  const anything = /** @type {any} */ (undefined);
  index.remove(7);
  const cases = /** @type {[() => unknown, string, unknown, unknown][]} */ ([
    [() => index.append(new Float32Array(17)), 'keys', 17, 16],
    [() => index.append(anything), 'keys', undefined, undefined],
    [() => index.append(/** @type {any} */ ([1, 2])), 'keys', undefined, undefined],
    [() => index.append({ values: new Int8Array(32), scales: new Float32Array(3) }), 'keys.scales', 3, 2],
    [() => index.report(new Float32Array(32), 0), 'query', 32, 16],
    [() => index.report(new Float32Array(16).fill(Infinity), 0), 'query', Infinity, 1e15],
    [() => index.report(q, NaN), 'b', NaN, undefined],
    [() => index.count(q, Infinity), 'b', Infinity, undefined],
    [() => index.report(q, 0, { strategy: /** @type {any} */ ('fastest') }), 'strategy', 'fastest', 'auto, brute, screen, tree'],
    [() => index.top(q, 300), 'r', 300, 299],
    [() => index.top(q, 0), 'r', 0, 1],
    [() => index.top(q, 1.5), 'r', 1.5, undefined],
    [() => index.top(q, 2, { guess: NaN }), 'guess', NaN, undefined],
    [() => index.key(300), 'position', 300, 299],
    [() => index.key(7), 'position', 7, undefined],
    [() => index.keyDistance(7), 'position', 7, undefined],
    [() => index.remove(-1), 'from', -1, 0],
    [() => index.remove(3, 301), 'to', 301, 300],
    [() => index.remove(3, 2), 'to', 2, 3],
    [() => index.truncate(301), 'length', 301, 300],
  ]);
  for (const [run, field, value, limit] of cases) {
    assert.throws(run, (/** @type {any} */ error) => {
      assert.ok(failure('bad-argument', field)(error), `${field}: ${error}`);
      if (value !== undefined) assert.deepEqual(error.value, value, error.message);
      if (limit !== undefined) assert.deepEqual(error.limit, limit, error.message);
      return true;
    });
  }
  for (const [shape, field] of /** @type {[any, string][]} */ ([
    [{ headDim: 8 }, 'headDim'],
    [{ headDim: 20 }, 'headDim'],
    [{ headDim: 264 }, 'headDim'],
    [{ headDim: '64' }, 'headDim'],
    [{ headDim: 64, type: 'q4' }, 'type'],
    [{ headDim: 64, maxChunk: 1000 }, 'maxChunk'],
  ]))
    await assert.rejects(HsrIndex.create(shape), failure('bad-argument', field, shape[field]));
  checkQuery(index, q);
  index.free();
});

test('memory comes back, and a freed index says so', async () => {
  const headDim = 64;
  const other = await HsrIndex.create({ headDim });
  const { core } = other;
  const baseline = core.used();
  for (let round = 0; round < 3; round++) {
    const index = await HsrIndex.create({ headDim, keys: clustered(round, 5000, headDim) });
    assert.equal(index.core, core, 'one instance for all');
    index.top(gaussian(23, headDim), 10);
    assert.equal(core.used() - baseline, index.memoryBytes);
    assert.ok(index.memoryBytes > 5000 * index.bytesPerKey && index.bytesPerKey > headDim, `${index.memoryBytes}, ${index.bytesPerKey}`);
    index.free();
    index.free();
    assert.equal(core.used(), baseline);
    assert.equal(index.memoryBytes, 0);
    const q = gaussian(23, headDim);
    const calls = [
      () => index.append(q),
      () => index.report(q, 0),
      () => index.count(q, 0),
      () => index.top(q, 1),
      () => index.key(0),
      () => index.keyDistance(0),
      () => index.remove(0),
      () => index.truncate(0),
      () => index.length,
      () => index.size,
      () => [...index],
    ];
    for (const call of calls) assert.throws(call, failure('closed', 'index'), String(call));
  }
  other.free();
});

test('an instance of its own has its own limit', async () => {
  const wasm = { maxMemoryBytes: 8 << 20 };
  const headDim = 64;
  const [index, other] = [await HsrIndex.create({ headDim, wasm }), await HsrIndex.create({ headDim, wasm })];
  assert.equal(index.core, other.core);
  assert.notEqual(index.core, (await HsrIndex.create({ headDim })).core);
  index.append(clustered(24, 1000, headDim));
  const before = plain(index.top(gaussian(25, headDim), 10));
  assert.throws(() => index.append(new Float32Array(100_000 * headDim)), failure('out-of-memory', 'keys'));
  assert.equal(index.length, 1000);
  assert.deepEqual(plain(index.top(gaussian(25, headDim), 10)), before);
});
