/** Partition trees against brute force: reports, counts, tops, all input types, errors, memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PartitionTree } from '../../web/attention.js';
import { bruteReport, bruteTop, product } from './helpers/brute-attention.js';
import { failure } from './helpers/failure.js';
import { fromHalf, toHalf } from './helpers/half.js';
import { seededRandom } from './helpers/random.js';
import { clustered, gaussian, toInt8 } from './helpers/vectors.js';

const DIMS = [1, 2, 3, 4];

/** @type {Record<string, (n: number, d: number) => Float32Array>} */
const KINDS = {
  gaussian: (n, d) => gaussian(1, n * d),
  clustered: (n, d) => clustered(2, n, d, { spread: 0.01, centres: 5 }),
  cube: (n, d) => Float32Array.from({ length: n * d }, seededRandom(3)),
  grid: (n, d) => gaussian(4, n * d).map(Math.round),
  line: (n, d) => Float32Array.from({ length: n * d }, (_, i) => Math.floor(i / d) * ((i % d) + 1) + 0.25),
  zero: (n, d) => new Float32Array(n * d),
  huge: (n, d) => gaussian(5, n * d, 1e14),
  tiny: (n, d) => gaussian(6, n * d, 1e-40),
  mixed: (n, d) => gaussian(7, n * d).map((x, i) => x * 10 ** ((Math.floor(i / d) % 31) - 16)),
};

/** @param {Float32Array} keys @param {number} d @returns {[number, Float32Array][]} */
const rows = (keys, d) => Array.from({ length: keys.length / d }, (_, p) => [p, keys.subarray(p * d, (p + 1) * d)]);

/** @param {{positions: Int32Array, products: Float32Array}} found */
const plain = ({ positions, products }) => ({ positions: [...positions], products: [...products] });

/** A report in order of positions. @param {{positions: Int32Array, products: Float32Array}} found */
function inOrder({ positions, products }) {
  const order = Array.from(positions, (_, i) => i).sort((i, j) => positions[i] - positions[j]);
  return { positions: order.map((i) => positions[i]), products: order.map((i) => products[i]) };
}

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind} keys: report, count and top are brute force`, async () => {
    for (const d of DIMS) {
      for (const n of [1, 16, 33, 700]) {
        const keys = make(n, d);
        const all = rows(keys, d);
        const tree = await PartitionTree.create({ keys, dim: d });
        assert.deepEqual([tree.size, tree.dim], [n, d]);
        const axis = Float32Array.from({ length: d }, (_, i) => (i === d - 1 ? -1 : 0));
        for (const q of [gaussian(8, d), axis, new Float32Array(d), gaussian(9, d, 1e-30), keys.slice(0, d)]) {
          const { products } = bruteTop(q, all, n);
          const [first, last] = [products[0], products[n - 1]];
          // Beyond both ends, at products that occur, and between floats.
          for (const b of [0, first, 2 * Math.abs(first) + 1, products[n >> 1], products[n >> 3] * (1 + 1e-12), last, last - 1]) {
            const expected = bruteReport(q, all, b);
            const found = tree.report(q, b);
            assert.deepEqual(inOrder(found), expected, `d ${d}, n ${n}, b ${b}`);
            assert.equal(found.stats.keysReported, expected.positions.length);
            assert.ok(found.stats.nodesVisited >= 1 && found.stats.keysTested <= n && found.stats.timeMs >= 0);
            assert.equal(tree.count(q, b), expected.positions.length);
          }
          for (const r of [1, Math.min(n, 17), n]) {
            const found = tree.top(q, r);
            assert.deepEqual(plain(found), bruteTop(q, all, r), `d ${d}, n ${n}, r ${r}`);
            assert.equal(found.stats.keysReported, r);
          }
        }
        tree.free();
      }
    }
  });
}

test('a few keys of many are found with little work', async () => {
  const n = 50_000;
  for (const dim of [2, 3, 4]) {
    const tree = await PartitionTree.create({ keys: gaussian(10, n * dim), dim });
    const q = gaussian(11, dim);
    const top = tree.top(q, 16);
    const report = tree.report(q, top.products[15]);
    assert.equal(report.positions.length, 16);
    for (const { nodesVisited, keysTested } of [top.stats, report.stats]) assert.ok(nodesVisited + keysTested < n / 20, `d ${dim}`);
    assert.equal(tree.report(q, -1e30).stats.nodesVisited, 1);
    tree.free();
  }
});

test('keys of every type, beyond one part of the staging buffer, and more results than one call has room for', async () => {
  const dim = 3;
  const n = 100_000;
  const keys = gaussian(12, n * dim);
  const half = Uint16Array.from(keys, toHalf);
  const scaled = toInt8(keys, dim);
  const given = /** @type {const} */ ([
    [keys, keys],
    [half, Float32Array.from(half, fromHalf)],
    [scaled, Float32Array.from(scaled.values, (x, i) => Math.fround(scaled.scales[Math.floor(i / dim)]) * x)],
  ]);
  const q = gaussian(13, dim);
  for (const [from, numbers] of given) {
    const tree = await PartitionTree.create({ keys: from, dim });
    const { positions, products } = tree.report(q, -1e9);
    assert.equal(new Set(positions).size, n);
    assert.ok(positions.every((p, i) => products[i] === product(q, numbers.subarray(p * dim, (p + 1) * dim))));
    tree.free();
  }
});

test('errors name the argument, its value and its limit, and the tree stays usable', async () => {
  const keys = gaussian(14, 300);
  const tree = await PartitionTree.create({ keys, dim: 3 });
  const q = gaussian(15, 3);
  const before = plain(tree.top(q, 100));
  const bad = (/** @type {number} */ x) => keys.slice().fill(x, 299);
  const cases = /** @type {[() => unknown, string, unknown, unknown][]} */ ([
    [() => PartitionTree.create({ keys, dim: 0 }), 'dim', 0, 1],
    [() => PartitionTree.create({ keys, dim: 5 }), 'dim', 5, 4],
    [() => PartitionTree.create({ keys, dim: 1.5 }), 'dim', 1.5, 4],
    [() => PartitionTree.create({ keys: new Float32Array(0), dim: 2 }), 'keys', 0, 1],
    [() => PartitionTree.create({ keys: new Int8Array(0x1000001), dim: 1 }), 'keys', undefined, undefined],
    [() => PartitionTree.create({ keys: new Uint16Array(0x1000001), dim: 1 }), 'keys', 0x1000001, 0x1000000],
    [() => PartitionTree.create({ keys: new Float32Array(7), dim: 3 }), 'keys', 7, 3],
    [() => PartitionTree.create({ keys: bad(NaN), dim: 3 }), 'keys', NaN, 1e15],
    [() => PartitionTree.create({ keys: bad(-Infinity), dim: 3 }), 'keys', -Infinity, 1e15],
    [() => PartitionTree.create({ keys: bad(2e15), dim: 3 }), 'keys', Math.fround(2e15), 1e15],
    [() => PartitionTree.create({ keys: /** @type {any} */ ([1, 2, 3]), dim: 3 }), 'keys', undefined, undefined],
    [async () => tree.report(new Float32Array(6), 0), 'query', 6, 3],
    [async () => tree.report(new Float32Array(3).fill(NaN), 0), 'query', NaN, 1e15],
    [async () => tree.count(new Float32Array(3).fill(Infinity), 0), 'query', Infinity, 1e15],
    [async () => tree.report(q, NaN), 'b', NaN, undefined],
    [async () => tree.count(q, -Infinity), 'b', -Infinity, undefined],
    [async () => tree.top(q, 0), 'r', 0, 1],
    [async () => tree.top(q, 101), 'r', 101, 100],
    [async () => tree.top(q, 2.5), 'r', 2.5, undefined],
  ]);
  for (const [run, field, value, limit] of cases) {
    await assert.rejects(/** @type {() => Promise<unknown>} */ (run), (/** @type {any} */ error) => {
      assert.ok(failure('bad-argument', field)(error), `${field}: ${error}`);
      if (value !== undefined) assert.deepEqual(error.value, value, error.message);
      if (limit !== undefined) assert.deepEqual(error.limit, limit, error.message);
      return true;
    });
  }
  assert.deepEqual(plain(tree.top(q, 100)), before);
  tree.free();
});

test('memory is told and given back, also where a tree cannot be made', async () => {
  const wasm = { maxMemoryBytes: 16 << 20 };
  const dim = 4;
  const first = await PartitionTree.create({ keys: gaussian(16, 4000), dim, wasm });
  const used = first.core.used();
  const tree = await PartitionTree.create({ keys: gaussian(17, 40_000), dim, wasm });
  assert.ok(tree.memoryBytes / tree.size > 20 && tree.memoryBytes / tree.size < 32, String(tree.memoryBytes));
  assert.equal(first.core.used(), used + tree.memoryBytes);
  // The rows fit, the tree beside them does not; then not even the rows.
  for (const [n, field] of /** @type {const} */ ([
    [400_000, 'partition'],
    [2_000_000, 'keys'],
  ])) {
    await assert.rejects(PartitionTree.create({ keys: new Float32Array(n * dim), dim, wasm }), failure('out-of-memory', field));
    assert.equal(first.core.used(), used + tree.memoryBytes);
  }
  await assert.rejects(PartitionTree.create({ keys: new Float32Array(dim).fill(NaN), dim, wasm }), failure('bad-argument', 'keys'));
  tree.free();
  assert.equal(first.core.used(), used);
  first.free();
});

test('a freed tree refuses everything but free()', async () => {
  const tree = await PartitionTree.create({ keys: gaussian(18, 60), dim: 2 });
  tree.free();
  tree.free();
  assert.equal(tree.memoryBytes, 0);
  const q = gaussian(19, 2);
  for (const call of [() => tree.report(q, 0), () => tree.count(q, 0), () => tree.top(q, 1), () => tree.size])
    assert.throws(call, failure('closed', 'partition'), String(call));
});
