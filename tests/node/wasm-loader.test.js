/** Builds that are not what they should be: of another version, that compute wrongly, or with statuses that nobody knows. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import binaryen from 'binaryen';

import { loadWasm } from '../../web/core/wasm-loader.js';
import { failure } from './helpers/failure.js';

const simd = new URL('../../build/halfspace.simd.wasm', import.meta.url);

/**
 * A build with nothing in it but what the loader asks first.
 * @param {number} abi
 * @param {number} failed the number of the self-test that fails
 */
function build(abi, failed) {
  const module = new binaryen.Module();
  module.addMemoryImport('memory', 'env', 'memory');
  for (const [name, value] of /** @type {const} */ ([
    ['hs_abi_version', abi],
    ['hs_self_test', failed],
  ])) {
    module.addFunction(name, binaryen.none, binaryen.i32, [], module.i32.const(value));
    module.addFunctionExport(name, name);
  }
  return module.emitBinary();
}

/** @param {unknown} value @param {RegExp[]} reasons */
const noBuild = (value, reasons) => (/** @type {any} */ error) => {
  assert.ok(failure(value === 'auto' ? 'no-simd' : 'unsupported', 'variant', value)(error), String(error.stack));
  assert.equal(error.limit.length, reasons.length, String(error.limit));
  reasons.forEach((reason, i) => assert.match(error.limit[i], reason));
  return true;
};

test('a build of another version, and one that computes wrongly, are not taken', async () => {
  const { hs_abi_version: version } = (await loadWasm({ variant: 'simd' })).exports;
  const other = build(version() + 1, 0);
  const wrong = build(version(), 3);
  await assert.rejects(loadWasm({ variant: 'simd', wasm: { simd: other } }), noBuild('simd', [/^simd: ABI version \d+, \d+ expected$/]));
  await assert.rejects(loadWasm({ variant: 'simd', wasm: { simd: wrong } }), noBuild('simd', [/self-test 3 failed: .* simd SIMD wrongly/]));
  await assert.rejects(loadWasm({ variant: 'simd', wasm: { simd: new Uint8Array(3) } }), noBuild('simd', [/^simd: .*WebAssembly/]));
  // Where relaxed SIMD does not exist the reason is another one.
  await assert.rejects(loadWasm({ wasm: { simd: wrong, relaxed: wrong } }), noBuild('auto', [/^relaxed: /, /^simd: numeric/]));
  const taken = await loadWasm({ wasm: { simd: await readFile(simd), relaxed: wrong } });
  assert.equal(taken.variant, 'simd');
  assert.match(taken.reasons.join(), /^relaxed: (not supported|numeric self-test 3)/);
});

test('where there is no SIMD at all', async (t) => {
  t.mock.method(WebAssembly, 'validate', () => false);
  const reasons = [/^relaxed: not supported/, /^simd: not supported/];
  await assert.rejects(loadWasm(), noBuild('auto', reasons));
  await assert.rejects(loadWasm({ variant: 'simd' }), noBuild('simd', reasons.slice(1)));
  await assert.rejects(loadWasm({ variant: /** @type {any} */ ('fast') }), failure('bad-argument', 'variant', 'fast'));
});

test('the limit of memory is at least what a build begins with', async () => {
  const least = 32 * 65_536;
  for (const bytes of [least - 1, 0, -1, NaN, /** @type {any} */ ('many')])
    await assert.rejects(
      loadWasm({ variant: 'simd', maxMemoryBytes: bytes }),
      (/** @type {any} */ error) => failure('bad-argument', 'maxMemoryBytes', bytes)(error) && error.limit === least,
    );
  const wasm = await loadWasm({ variant: 'simd', maxMemoryBytes: least });
  assert.equal(wasm.limitBytes, least);
  assert.throws(
    () => wasm.alloc(least, 'test'),
    (/** @type {any} */ error) => {
      assert.ok(failure('out-of-memory', 'test', least)(error), String(error));
      return error.limit === wasm.free();
    },
  );
});
