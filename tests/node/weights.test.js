/** Weights on their way into WebAssembly: over bad connections, from bad files, with progress, and stopped. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, test } from 'node:test';

import { Engine } from '../../web/index.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { renamed, reshaped, withoutTensor, withUint32 } from './helpers/gguf-edit.js';
import { modelPath } from './helpers/model.js';

const PROMPT = 'The capital of France is';
let path = '';
let bytes = Buffer.alloc(0);

before(async () => {
  path = await modelPath();
  bytes = await readFile(path);
});

/** @param {Parameters<typeof Engine.load>[0]} source */
async function logits(source) {
  const engine = await Engine.load(source);
  const values = (await engine.logits(engine.tokenize(PROMPT))).slice();
  engine.close();
  return values;
}

test('a server that drops connections, with ranges or without, gives the logits of the file', async (t) => {
  const expected = await logits(path);
  for (const ranges of [true, false]) {
    // Inside one tensor for every tenth range; for the whole file, a little further each time.
    const cut = (/** @type {number} */ index) => {
      if (ranges) return index % 10 === 9 ? 150_000 : Infinity;
      return index > 0 && index < 5 ? 20_000_000 * index : Infinity;
    };
    const server = await serveBytes({ bytes, ranges, cut });
    t.after(server.close);
    assert.deepEqual(await logits(server.url), expected);
    const dropped = server.bodies.filter((body) => !body.writableFinished).length;
    t.diagnostic(`ranges ${ranges}: ${dropped} of ${server.bodies.length} connections dropped`);
    assert.ok(dropped >= 4);
  }
});

test('a missing tensor is named before a weight is read', async () => {
  const onProgress = () => assert.fail('weights are being read');
  for (const name of ['blk.3.ffn_up.weight', 'blk.29.attn_norm.weight', 'output_norm.weight', 'token_embd.weight'])
    await assert.rejects(Engine.load(withoutTensor(bytes, name), { onProgress }), failure('bad-file', name), name);
});

test('a tensor that no architecture has is named', async () => {
  const file = renamed(bytes, 'blk.3.ffn_up.weight', 'blk.3.ffn_xy.weight');
  /** @type {import('../../web/index.js').HalfspaceError} */
  const error = await Engine.load(file).then(assert.fail, (e) => e);
  assert.ok(failure('unsupported', 'tensor')(error), String(error));
  assert.equal(error.value, 'blk.3.ffn_xy.weight');
});

test('a tensor of another shape, or of a layer too many, is named', async () => {
  const matrix = 'blk.3.ffn_up.weight';
  const vector = 'blk.7.ffn_norm.weight';
  await assert.rejects(Engine.load(reshaped(bytes, matrix, 1, 1504)), failure('bad-file', matrix));
  await assert.rejects(Engine.load(reshaped(bytes, matrix, 0, 544)), failure('bad-file', matrix));
  await assert.rejects(Engine.load(reshaped(bytes, vector, 0, 575)), failure('bad-file', vector));
  const error = await Engine.load(withUint32(bytes, 'llama.block_count', 29)).then(assert.fail, (e) => e);
  assert.ok(failure('bad-file')(error) && error.field.startsWith('blk.29.'), String(error));
});

test('progress grows up to the total', async () => {
  /** @type {number[]} */
  const seen = [];
  const totals = new Set();
  const engine = await Engine.load(path, {
    onProgress: (done, total) => {
      seen.push(done);
      totals.add(total);
    },
  });
  engine.close();
  const [total] = totals;
  assert.equal(totals.size, 1);
  assert.ok(total > 0.9 * bytes.length && total < bytes.length);
  assert.ok(seen.length > 20);
  assert.ok(seen.every((done, i) => i === 0 || done > seen[i - 1]));
  assert.equal(seen.at(-1), total);
});

test('abort ends loading, from a file and over HTTP', async (t) => {
  const server = await serveBytes({ bytes });
  t.after(server.close);
  for (const source of [path, server.url]) {
    const controller = new AbortController();
    let last = 0;
    const onProgress = (/** @type {number} */ done, /** @type {number} */ total) => {
      last = done / total;
      if (last > 0.5) controller.abort();
    };
    await assert.rejects(Engine.load(source, { signal: controller.signal, onProgress }), failure('aborted'));
    assert.ok(last > 0.5 && last < 0.9, `stopped at ${last}`);
  }
});
