/** The suite of the public API on a build with guard words around every block of memory, which are looked at after every call. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as attention from '../../web/attention.js';
import { loadWasm } from '../../web/core/wasm-loader.js';
import * as node from '../../web/node.js';
import { COMMON, runSuites } from '../suites/index.js';
import { serveBytes } from './helpers/byte-server.js';
import { checkedBuild } from './helpers/checked.js';
import { randomModel } from './helpers/random-model.js';

const BYTES = 100;

for (const offset of [-32, -1, BYTES, BYTES + 31]) {
  test(`a write of one byte at ${offset} of ${BYTES} is found, and named`, async () => {
    for (const next of /** @type {const} */ (['hs_memory_used', 'hs_free'])) {
      const wasm = await loadWasm(checkedBuild());
      const [, pointer] = [10, BYTES, 20].map((bytes) => wasm.alloc(bytes, 'block'));
      const named = new RegExp(`block \\d+ of ${BYTES} bytes at ${pointer}: byte ${offset} was written`);
      wasm.bytes(pointer, BYTES).fill(1);
      assert.ok(wasm.exports.hs_memory_used() > BYTES, 'what is inside is for the caller');
      wasm.bytes(pointer + offset, 1)[0] ^= 1;
      assert.throws(() => wasm.exports[next](pointer), named);
      assert.throws(() => wasm.exports.hs_memory_used(), named, 'and so from then on');
    }
  });
}

test('new memory and freed memory hold nothing that was there before', async () => {
  const { exports, memory } = await loadWasm(checkedBuild());
  const pointer = exports.hs_alloc(BYTES);
  const content = () => new Set(new Uint8Array(memory.buffer, pointer, BYTES));
  assert.deepEqual([...content()], [0xa6]);
  new Uint8Array(memory.buffer, pointer, BYTES).fill(1);
  exports.hs_free(pointer);
  assert.deepEqual([...content()], [0xd7]);
});

test('no case of the suite writes beyond a block', async (t) => {
  const model = randomModel({ arch: 'llama', type: 'Q4_1', tied: false });
  const server = await serveBytes({ bytes: model });
  t.after(server.close);
  const halfspace = { ...node, ...attention };
  const setting = { halfspace, build: checkedBuild(), relaxed: {}, model: new Uint8Array(model), url: server.url, allowed: [] };
  for (const { area, name, ok, error } of await runSuites(setting, COMMON)) await t.test(`${area}: ${name}`, () => assert.ok(ok, error));
});
