/** HsrIndex and PartitionTree against every product in double. */
import { bruteReport, bruteTop } from '../node/helpers/brute-attention.js';
import { seededRandom } from '../node/helpers/random.js';
import { equal, fails, ok } from './check.js';

const D = 32;
const N = 3000;

/** The same on every machine: no function of Math is used. @param {number} seed @param {number} length */
export function uniform(seed, length) {
  const random = seededRandom(seed);
  return Float32Array.from({ length }, () => 2 * random() - 1);
}

/** Positions and rows. @param {ArrayLike<number> & {subarray: (from: number, to: number) => Float32Array}} keys @param {number} d @returns {[number, Float32Array][]} */
const rowsOf = (keys, d) => Array.from({ length: keys.length / d }, (_, p) => [p, keys.subarray(p * d, p * d + d)]);

/**
 * @param {import('./index.js').Setting} setting
 * @param {(index: any, keys: Float32Array) => Promise<void>} run
 * @param {'f32' | 'q8'} [type]
 */
async function withIndex({ halfspace, build }, run, type = 'f32') {
  const keys = uniform(1, N * D);
  const index = await halfspace.HsrIndex.create({ headDim: D, type, keys, wasm: build });
  try {
    await run(index, keys);
  } finally {
    index.free();
  }
}

/** @type {Record<string, import('./index.js').Case[]>} */
export const index = {
  HsrIndex: [
    {
      name: 'reports every key of the half-space and no other, by every strategy',
      run: (setting) =>
        withIndex(setting, async (index, keys) => {
          const query = uniform(2, D);
          for (const b of [0, 2, 1e9]) {
            const expected = bruteReport(query, rowsOf(keys, D), b);
            for (const strategy of ['auto', 'brute', 'screen', 'tree']) {
              const { positions, products } = index.report(query, b, { strategy });
              equal(positions, expected.positions, `${strategy}, b = ${b}`);
              equal(products, expected.products, `${strategy}, b = ${b}`);
              equal(index.count(query, b, { strategy }), positions.length);
            }
          }
        }),
    },
    {
      name: 'finds the largest products, int8 keys as they are stored',
      run: (setting) =>
        withIndex(
          setting,
          async (index) => {
            const query = uniform(3, D);
            /** @type {[number, Float32Array][]} */
            const stored = Array.from(index, ({ position, key }) => [position, key]);
            const { positions, products } = index.top(query, 40);
            const expected = bruteTop(query, stored, 40);
            equal(positions, expected.positions);
            equal(products, expected.products);
          },
          'q8',
        ),
    },
    {
      name: 'keys are appended as f32, f16 and int8, removed, and cut off',
      async run({ halfspace, build }) {
        const index = await halfspace.HsrIndex.create({ headDim: 16, type: 'f32', wasm: build });
        equal(index.append(new Float32Array(32).fill(0.5)), 0);
        equal(index.append(new Uint16Array(16).fill(0x3c00)), 2);
        equal(index.append({ values: new Int8Array(16).fill(8), scales: Float32Array.of(0.25) }), 3);
        equal(
          [0.5, 1, 2],
          [1, 2, 3].map((p) => index.key(p)[0]),
        );
        index.remove(1);
        equal([index.size, index.length], [3, 4]);
        equal(index.report(new Float32Array(16).fill(1), 0).positions, [0, 2, 3]);
        index.truncate(2);
        equal([index.size, index.length], [1, 2]);
        index.free();
      },
    },
    {
      name: 'wrong calls name the field and change nothing',
      run: (setting) =>
        withIndex(setting, async (index) => {
          const { halfspace } = setting;
          await fails(halfspace, () => index.append(new Float32Array(D + 1)), { code: 'bad-argument', field: 'keys', value: D + 1 });
          await fails(halfspace, () => index.append(new Float32Array(D).fill(NaN)), { code: 'bad-argument', field: 'keys', limit: 1e15 });
          await fails(halfspace, () => index.report(uniform(1, D), NaN), { code: 'bad-argument', field: 'b' });
          await fails(halfspace, () => index.top(uniform(1, D), N + 1), { code: 'bad-argument', field: 'r', value: N + 1, limit: N });
          await fails(halfspace, () => index.key(N), { code: 'bad-argument', field: 'position', limit: N - 1 });
          equal([index.size, index.length], [N, N]);
        }),
    },
    {
      name: 'a freed index says so',
      async run({ halfspace, build }) {
        const index = await halfspace.HsrIndex.create({ headDim: D, wasm: build });
        index.free();
        index.free();
        await fails(halfspace, () => index.size, { code: 'closed', field: 'index' });
      },
    },
  ],
  PartitionTree: [2, 4].map((dim) => ({
    name: `in ${dim} dimensions`,
    async run({ halfspace, build }) {
      const keys = uniform(dim, 2000 * dim);
      const tree = await halfspace.PartitionTree.create({ keys, dim, wasm: build });
      const query = uniform(5, dim);
      const { positions, stats } = tree.report(query, 0.5);
      equal(positions.slice().sort(), Int32Array.from(bruteReport(query, rowsOf(keys, dim), 0.5).positions));
      equal(tree.count(query, 0.5), positions.length);
      equal(tree.top(query, 25).positions, bruteTop(query, rowsOf(keys, dim), 25).positions);
      ok(stats.keysTested < 2000, 'parts were taken or left as a whole');
      await fails(halfspace, () => tree.top(query, 2001), { code: 'bad-argument', field: 'r', limit: 2000 });
      tree.free();
      await fails(halfspace, () => tree.size, { code: 'closed', field: 'partition' });
    },
  })),
};
