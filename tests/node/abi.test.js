/** The exported functions themselves, on the 32-bit machine that they run on. What sizes do elsewhere: tests/fuzz. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { loadWasm } from '../../web/core/wasm-loader.js';

const FLOATS = new Set([8, 9, 13]);

test('a tensor whose bytes do not fit 32 bits is refused, not cut to what is left of them', async () => {
  const wasm = await loadWasm({ variant: 'simd' });
  const { exports } = wasm;
  const words = [0, 1, 1 << 16, 1, 1, 32, 32, 1 << 20, 1e-5, 1e4, 0, 32, 0, 1, ...new Array(14).fill(0)];
  const config = exports.hs_alloc(4 * words.length) >>> 0;
  const view = new DataView(wasm.memory.buffer, config, 4 * words.length);
  words.forEach((word, i) => (FLOATS.has(i) ? view.setFloat32(4 * i, word, true) : view.setInt32(4 * i, word, true)));
  const before = exports.hs_memory_used() >>> 0;
  const model = exports.hs_model_create(config) >>> 0;
  assert.notEqual(model, 0);
  for (const type of [0, 1, 8]) {
    assert.equal(exports.hs_tensor_create(model, 0, 0, type, 1 << 20, 1 << 16), -2, `type ${type}`);
    assert.equal(exports.hs_last_error_value() > 2 ** 32, true);
  }
  assert.equal(exports.hs_model_free(model), 0);
  assert.equal(exports.hs_memory_used() >>> 0, before);
  wasm.close();
});
