/** KvCache and attend() against plain attention in double, and bit by bit against other runtimes. */
import { bruteAttention, relu, softmax, softmaxOfTop } from '../node/helpers/brute-attention.js';
import { equal, fails, fingerprint, ok } from './check.js';
import { uniform } from './index-and-tree.js';

const [D, KV_HEADS, N] = [32, 2, 2500];
const OUTPUTS = '5b451bad';
/** How far rounding may take a number of an output of values below 1. */
const ROUNDING = { q8: 2e-3, f32: 1e-5 };

/** Keys around a few centres, so that there is something to choose. */
function clustered() {
  const centres = uniform(9, 12 * D);
  const centreOf = (/** @type {number} */ i) => centres[(Math.floor(i / (7 * KV_HEADS * D)) % 12) * D + (i % D)];
  return uniform(1, N * KV_HEADS * D).map((x, i) => 2 * centreOf(i) + 0.3 * x);
}

/**
 * @param {'f32' | 'q8'} type
 * @param {string} name
 * @param {(cache: any, queries: Float32Array, attend: any, halfspace: any) => Promise<void>} run
 * @returns {import('./index.js').Case}
 */
const withCache = (type, name, run) => ({
  name: `${name} (${type})`,
  async run({ halfspace, build }) {
    const cache = await halfspace.KvCache.create({ headDim: D, kvHeads: KV_HEADS, type, wasm: build });
    cache.append({ keys: clustered(), values: uniform(2, N * KV_HEADS * D) });
    const queries = uniform(3, 4 * D).map((x) => 6 * x);
    await run(cache, queries, halfspace.attend, halfspace);
    cache.free();
  },
});

/** @param {any} cache @param {Float32Array} output @param {ArrayLike<number>} expected @param {string} what */
function close(cache, output, expected, what) {
  equal(output.length, expected.length);
  const worst = output.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0);
  ok(worst <= ROUNDING[/** @type {'f32' | 'q8'} */ (cache.type)], `${what}: ${worst} away from the reference`);
}

const TYPES = /** @type {const} */ (['f32', 'q8']);

/** @type {Record<string, import('./index.js').Case[]>} */
export const attention = {
  'KvCache, attend': [
    ...TYPES.map((type) =>
      withCache(type, 'dense, exact and ReLU attention are the reference', async (cache, queries, attend) => {
        close(cache, attend(cache, queries, { mode: 'dense' }).output, bruteAttention(cache, queries, {}, softmax), 'dense');
        const view = { window: 700, sinks: 8, softcap: 4 };
        close(cache, attend(cache, queries, { mode: 'dense', ...view }).output, bruteAttention(cache, queries, view, softmax), 'window');
        const exact = { strength: 'exact', r: 60, denseBelow: 0 };
        close(cache, attend(cache, queries, exact).output, bruteAttention(cache, queries, {}, softmaxOfTop(60)), 'exact');
        close(cache, attend(cache, queries, { mode: 'relu', b: 1 }).output, bruteAttention(cache, queries, {}, relu(1, 1)), 'relu');
      }),
    ),
    withCache('q8', 'certified bounds hold, fast says what it did', async (cache, queries, attend) => {
      const reference = bruteAttention(cache, queries, {}, softmax);
      const { output, stats } = attend(cache, queries, { strength: 'certified', eps: 0.1, denseBelow: 0 });
      for (let h = 0; h < 4; h++) {
        const distance = Math.sqrt(reference.slice(h * D, h * D + D).reduce((sum, x, i) => sum + (x - output[h * D + i]) ** 2, 0));
        ok(distance <= stats.errorMax + ROUNDING.q8 * Math.sqrt(D), `head ${h}: ${distance}, bound ${stats.errorMax}`);
      }
      const fast = attend(cache, queries, { denseBelow: 0, reported: true });
      ok(fast.stats.exactFraction < 0.9 && fast.reported.length === KV_HEADS && fast.reported[0].positions.length > 0, 'keys are reported');
    }),
    withCache('q8', 'every bit of the outputs is the expected one', async (cache, queries, attend) => {
      const ways = [{ mode: 'dense' }, { denseBelow: 0 }, { strength: 'certified', denseBelow: 0 }, { mode: 'relu', b: 1 }];
      const outputs = ways.flatMap((options) => Array.from(attend(cache, queries, options).output));
      equal(fingerprint(Float32Array.from(outputs)), OUTPUTS);
    }),
    withCache('f32', 'positions are appended, read, removed and cut off', async (cache, _queries, _attend, halfspace) => {
      equal(cache.append({ keys: new Float32Array(2 * D).fill(1), values: new Float32Array(2 * D).fill(2) }), N);
      equal([cache.key(N, 1)[0], cache.value(N, 0)[0]], [1, 2]);
      cache.remove(10, 20);
      equal([cache.size, cache.length], [N - 9, N + 1]);
      cache.truncate(100);
      equal([cache.size, cache.length], [90, 100]);
      ok(cache.memoryBytes > N * cache.bytesPerKey, 'its memory is told');
      cache.free();
      equal(cache.memoryBytes, 0);
      await fails(halfspace, () => cache.length, { code: 'closed', field: 'cache' });
    }),
    withCache('q8', 'wrong calls name the field and change nothing', async (cache, queries, attend, halfspace) => {
      const rows = new Float32Array(2 * D);
      await fails(halfspace, () => cache.append({ keys: rows, values: rows.slice(1) }), { code: 'bad-argument', field: 'values' });
      await fails(halfspace, () => cache.append({ keys: rows, values: rows.map(() => Infinity) }), {
        code: 'bad-argument',
        field: 'values',
        limit: 1e15,
      });
      await fails(halfspace, () => attend(cache, queries, { end: N + 1 }), { code: 'bad-argument', field: 'end', value: N + 1, limit: N });
      await fails(halfspace, () => attend(cache, queries, { strength: 'best' }), {
        code: 'bad-argument',
        field: 'strength',
        value: 'best',
      });
      await fails(halfspace, () => attend(cache, queries.slice(1)), { code: 'bad-argument', field: 'queries' });
      equal(cache.length, N);
    }),
  ],
};
