/** Caches and indexes as streams of chunk records, and queries as a stream. */
import { equal, fails, fingerprint, ok } from './check.js';
import { uniform } from './index-and-tree.js';
import { bytesOf, damaged, inPieces, offsetsOf } from './snapshot-bytes.js';

const [D, KV_HEADS, N] = [32, 2, 1500];
const SNAPSHOTS = { f32: 'ef4db1b6', q8: '84af2090' };
const QUERIES = uniform(3, 4 * D).map((x) => 6 * x);
const rows = (/** @type {number} */ seed, /** @type {number} */ n) => ({
  keys: uniform(seed, n * KV_HEADS * D),
  values: uniform(seed + 1, n * KV_HEADS * D),
});

/**
 * A case with a function that makes caches of one type, and one that is filled.
 * @param {'f32' | 'q8'} type
 * @param {string} name
 * @param {(given: {cache: any, empty: () => Promise<any>, halfspace: any}) => Promise<void>} run
 * @returns {import('./index.js').Case}
 */
const withCaches = (type, name, run) => ({
  name: `${name} (${type})`,
  async run({ halfspace, build }) {
    /** @type {any[]} */
    const made = [];
    const empty = async () => {
      const cache = await halfspace.KvCache.create({ headDim: D, kvHeads: KV_HEADS, type, wasm: build });
      made.push(cache);
      return cache;
    };
    const cache = await empty();
    cache.append(rows(1, N));
    try {
      await run({ cache, empty, halfspace });
    } finally {
      for (const each of made) each.free();
    }
  },
});

/** Outputs of two ways, all bits. @param {any} halfspace @param {any} cache */
const outputs = (halfspace, cache) =>
  [{ mode: 'dense' }, { denseBelow: 0, denseAbove: 1, theta: 0.01 }].map((way) =>
    fingerprint(halfspace.attend(cache, QUERIES, way).output),
  );

/** @param {any} halfspace @param {any} a @param {any} b */
function same(halfspace, a, b) {
  equal([a.length, a.size], [b.length, b.size]);
  equal(outputs(halfspace, a), outputs(halfspace, b));
}

/** @type {Record<string, import('./index.js').Case[]>} */
export const streams = {
  'Streams of caches and indexes': [
    .../** @type {const} */ (['f32', 'q8']).map((type) =>
      withCaches(type, 'what is read is what is filled, bit by bit, and grows alike', async ({ cache, empty, halfspace }) => {
        cache.remove(16, 300);
        const bytes = await bytesOf(cache.readable());
        equal(fingerprint(bytes), SNAPSHOTS[type], 'bytes of the snapshot');
        const copy = await empty();
        await cache.readable().pipeTo(copy.writable());
        same(halfspace, cache, copy);
        const again = await empty();
        await inPieces(bytes, 999).pipeTo(again.writable());
        for (const each of [cache, copy, again]) each.append(rows(7, 200));
        same(halfspace, cache, copy);
        same(halfspace, cache, again);
        equal(fingerprint(await bytesOf(copy.readable())), fingerprint(await bytesOf(cache.readable())));
      }),
    ),
    withCaches('q8', 'queries are answered before the last chunk has come', async ({ cache, empty, halfspace }) => {
      const bytes = await bytesOf(cache.readable());
      const copy = await empty();
      const writer = copy.writable().getWriter();
      const lengths = new Set();
      for (let at = 0; at < bytes.length; at += 4000) {
        await writer.write(bytes.slice(at, at + 4000));
        if (copy.length === 0) continue;
        lengths.add(copy.length);
        const view = { mode: 'dense', end: copy.length };
        const [output, expected] = [copy, cache].map((each) => halfspace.attend(each, QUERIES, view).output);
        ok(
          output.every((/** @type {number} */ x, /** @type {number} */ i) => Math.abs(x - expected[i]) < 1e-5),
          `${copy.length} positions are as in the whole`,
        );
      }
      await writer.close();
      ok(lengths.size > 3 && Math.min(...lengths) < N / 2, `answers at ${[...lengths].join()} positions`);
      same(halfspace, cache, copy);
    }),
    withCaches('q8', 'what is damaged, missing or cut names record and byte; what came before stays', async (given) => {
      const { cache, empty, halfspace } = given;
      const bytes = await bytesOf(cache.readable());
      const offsets = offsetsOf(bytes);
      const at = 5;
      const without = (/** @type {number} */ from, /** @type {number} */ to) =>
        Uint8Array.from([...bytes.subarray(0, from), ...bytes.subarray(to)]);
      /** @type {[string, Uint8Array][]} */
      const files = [
        ['checksum', damaged(bytes, at)],
        ['index', without(offsets[at], offsets[at + 1])],
        ['length', bytes.slice(0, offsets[at] + 60)],
      ];
      for (const [field, file] of files) {
        const copy = await empty();
        const error = await fails(halfspace, () => inPieces(file, 5000).pipeTo(copy.writable()), { code: 'bad-chunk', field });
        ok(error instanceof halfspace.ChunkError, 'a ChunkError');
        equal([error.chunk, error.offset], [at, offsets[at]]);
        ok(copy.length > 0 && copy.length < N, `${copy.length} positions stay`);
        equal(copy.key(copy.length - 1, 1), cache.key(copy.length - 1, 1));
        copy.truncate(0);
        await inPieces(bytes, 5000).pipeTo(copy.writable());
        same(halfspace, cache, copy);
      }
    }),
    withCaches('q8', 'aborts leave the cache usable, and no other memory', async ({ cache, empty, halfspace }) => {
      const bytes = await bytesOf(cache.readable());
      outputs(halfspace, cache); // which leaves it scratch
      const used = cache.core.used();
      const stop = new AbortController();
      const copy = await empty();
      const writer = copy.writable({ signal: stop.signal }).getWriter();
      await writer.write(bytes.slice(0, bytes.length / 2));
      stop.abort();
      await fails(halfspace, () => writer.write(bytes.slice(bytes.length / 2)), { code: 'aborted' });
      await fails(halfspace, () => writer.closed, { code: 'aborted' });
      ok(copy.length > 0 && copy.length < N, `${copy.length} positions came`);
      equal(cache.core.used() - used, copy.memoryBytes, 'memory');
      copy.truncate(0);
      const given = copy.writable().getWriter();
      await given.write(bytes.slice(0, 5000));
      await given.abort(new Error('enough'));
      copy.truncate(0);
      const reader = cache.readable().getReader();
      await reader.read();
      await reader.cancel();
      await inPieces(bytes, 5000).pipeTo(copy.writable());
      same(halfspace, cache, copy);
      equal(cache.core.used() - used, copy.memoryBytes, 'memory');
    }),
    withCaches('q8', 'an addition holds what changed, and fits nothing else', async ({ cache, empty, halfspace }) => {
      const copy = await empty();
      await cache.readable().pipeTo(copy.writable());
      const { bytes } = cache.saved;
      const since = cache.saved;
      cache.append(rows(20, 100));
      const added = await bytesOf(cache.readable({ since }));
      ok(added.length < bytes / 4, `${added.length} of ${bytes} bytes`);
      await inPieces(added, 3000).pipeTo(copy.writable());
      same(halfspace, cache, copy);
      const strange = await empty();
      await fails(halfspace, () => inPieces(added, 3000).pipeTo(strange.writable()), { code: 'bad-argument', field: 'base' });
      equal(strange.length, 0);
    }),
    {
      name: 'an index is a stream as well',
      async run({ halfspace, build }) {
        const index = await halfspace.HsrIndex.create({ headDim: D, keys: uniform(6, N * D), wasm: build });
        const copy = await halfspace.HsrIndex.create({ headDim: D, wasm: build });
        const cache = await halfspace.KvCache.create({ headDim: D, wasm: build });
        index.remove(40, 200);
        const query = uniform(8, D);
        await index.readable().pipeTo(copy.writable());
        for (const strategy of ['brute', 'screen', 'tree']) {
          const [found, expected] = [copy, index].map((each) => each.top(query, 50, { strategy }));
          equal(found.positions, expected.positions);
          equal(found.products, expected.products);
        }
        await fails(halfspace, () => index.readable().pipeTo(cache.writable()), { code: 'bad-argument', field: 'kind', value: 'index' });
        for (const each of [index, copy, cache]) each.free();
      },
    },
    withCaches('f32', 'queries are a stream', async ({ cache, halfspace }) => {
      const queries = [1, 2, 3].map((seed) => uniform(seed, 4 * D));
      const { readable, writable } = cache.attendStream({ mode: 'dense' });
      const [writer, reader] = [writable.getWriter(), readable.getReader()];
      for (const query of queries) {
        const written = writer.write(query);
        const { value } = await reader.read();
        await written;
        equal(value.output, halfspace.attend(cache, query, { mode: 'dense' }).output);
        equal(value.stats.keysVisible, N * KV_HEADS);
      }
      const closed = writer.close();
      equal((await reader.read()).done, true);
      await closed;
      const stop = new AbortController();
      const stopped = cache.attendStream({ signal: stop.signal }).readable.getReader();
      stop.abort();
      await fails(halfspace, () => stopped.read(), { code: 'aborted' });
    }),
  ],
};
