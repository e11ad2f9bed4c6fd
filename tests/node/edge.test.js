/** Halfspace for isolates, in Node.js: builds that were compiled before, within a limit of memory. In workerd: tests/runtimes. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { edgeMemory, Engine, KvCache } from '../../web/edge.js';
import { greedy, GREEDY } from '../suites/engine.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';

const MB = 1 << 20;
const model = randomModel({ arch: 'llama', type: 'Q4_1', tied: false });
const simd = await WebAssembly.compile(await readFile(new URL('../../build/halfspace.simd.wasm', import.meta.url)));

test('a module alone is the simd build; of both, relaxed where it computes rightly', async () => {
  assert.deepEqual(edgeMemory(simd), { wasm: { simd }, maxMemoryBytes: 96 * MB });
  assert.deepEqual(edgeMemory({ simd, relaxed: simd }, { maxMemoryBytes: 8 * MB }), {
    wasm: { simd, relaxed: simd },
    maxMemoryBytes: 8 * MB,
  });
  const engine = await Engine.load(model, { ...edgeMemory(simd), variant: 'simd' });
  assert.deepEqual(await greedy(engine), GREEDY);
  engine.close();
});

test('what is no build', () => {
  const bytes = new Uint8Array(8);
  for (const wrong of [
    undefined,
    null,
    {},
    7,
    'simd',
    bytes,
    { simd: bytes },
    { simd, other: simd },
    { 'simd.threads': simd },
    { relaxed: undefined },
  ])
    assert.throws(
      () => edgeMemory(/** @type {any} */ (wrong)),
      (error) => failure('bad-argument', 'wasm', wrong)(error) && /** @type {any} */ (error).limit === 'WebAssembly.Module',
    );
});

test('beyond the limit there is no more memory, and what was there stays', async () => {
  const engine = await Engine.load(model, { ...edgeMemory(simd, { maxMemoryBytes: 4 * MB }), variant: 'simd' });
  const used = (await greedy(engine), engine.info.memoryBytes);
  const prefixes = [];
  const fill = async () => {
    while (prefixes.length < 1000) prefixes.push(await engine.prefill('The half-space of a query '.repeat(6)));
  };
  await assert.rejects(fill(), (/** @type {any} */ error) => failure('out-of-memory', 'ctx')(error) && error.limit < error.value);
  assert.ok(prefixes.length > 0, 'some fit');
  for (const prefix of prefixes) prefix.free();
  assert.equal(engine.info.memoryBytes, used);
  assert.deepEqual(await greedy(engine), GREEDY);
  engine.close();
  await assert.rejects(Engine.load(model, edgeMemory(simd, { maxMemoryBytes: MB })), failure('bad-argument', 'maxMemoryBytes', MB));
});

test('all caches of an options object share its memory', async () => {
  const wasm = edgeMemory(simd, { maxMemoryBytes: 4 * MB });
  const create = () => KvCache.create({ headDim: 64, capacity: 4096, wasm });
  const caches = [];
  await assert.rejects(
    async () => {
      for (;;) caches.push(await create());
    },
    (/** @type {any} */ error) => failure('out-of-memory')(error) && error.limit <= 4 * MB,
  );
  assert.ok(caches.length > 0, 'some fit');
  for (const cache of caches) cache.free();
  const again = await create();
  again.free();
});
