/** Bad model files: each a typed error, before any weight is read. */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { before, test } from 'node:test';

import { gguf } from '@huggingface/gguf';

import { openSource } from '../../web/bytes/sources.js';
import { HalfspaceError } from '../../web/errors.js';
import { modelConfig } from '../../web/model/config.js';
import { readGguf } from '../../web/model/gguf.js';
import { failure } from './helpers/failure.js';
import { modelPath } from './helpers/model.js';

/** The first bytes of the real model: its header and a little more. */
let header = new Uint8Array();
let fullSize = 0;

before(async () => {
  const file = await open(await modelPath());
  fullSize = (await file.stat()).size;
  header = new Uint8Array(4_000_000);
  await file.read(header, 0, header.length, 0);
  await file.close();
});

/** A source of the real size whose bytes beyond the header may not be read. @param {Uint8Array} bytes @param {number} [size] */
async function parse(bytes, size = fullSize) {
  const inner = await openSource(bytes);
  return readGguf({ ...inner, size });
}

/** @param {(view: DataView) => void} edit */
function edited(edit) {
  const bytes = header.slice();
  edit(new DataView(bytes.buffer));
  return bytes;
}

/** Offset of a tensor's type in the header: after its name, dimension count and dimensions. @param {string} name @param {number} dims */
function typeOffset(name, dims) {
  const at = Buffer.from(header.buffer).indexOf(name);
  assert.ok(at > 0);
  return at + name.length + 4 + dims * 8;
}

test('the untouched header parses', async () => {
  const file = await parse(header);
  assert.equal(file.tensors.length, 272);
  assert.equal(modelConfig(file).nLayers, 30);
});

test('the header is what another reader finds in it', async () => {
  const [ours, theirs] = [await parse(header), await gguf(await modelPath(), { allowLocalFile: true })];
  const plain = (/** @type {any} */ value) => (ArrayBuffer.isView(value) ? Array.from(/** @type {Float32Array} */ (value)) : value);
  const { version, tensor_count: tensors, kv_count: keys, ...metadata } = /** @type {any} */ (theirs.metadata);
  assert.deepEqual([version, Number(tensors), Number(keys)], [3, ours.tensors.length, Object.keys(ours.metadata).length]);
  for (const [key, value] of Object.entries(metadata)) assert.deepEqual(plain(ours.metadata[key]), value, key);
  const infos = theirs.tensorInfos.map(({ name, shape, dtype, offset }) =>
    [name, ...shape, dtype, offset + theirs.tensorDataOffset].map(String),
  );
  const found = ours.tensors.map(({ name, cols, rows, type, offset }) =>
    [name, cols, ...(rows > 1 ? [rows] : []), type, offset].map(String),
  );
  assert.deepEqual(found.sort(), infos.sort());
});

test('not a model', async () => {
  await assert.rejects(parse(new Uint8Array(0), 0), failure('bad-file', 'magic', 4));
  await assert.rejects(parse(edited((v) => v.setUint32(0, 0x504b0304))), failure('bad-file', 'magic'));
  await assert.rejects(parse(edited((v) => v.setUint32(4, 99, true))), failure('bad-file', 'version'));
  await assert.rejects(parse(edited((v) => v.setBigUint64(8, 1n << 60n, true))), failure('bad-file', 'tensor_count'));
  await assert.rejects(parse(edited((v) => v.setBigUint64(16, 1n << 40n, true))), failure('bad-file', 'metadata_kv_count'));
});

test('truncated files, in the header and in the weights', async () => {
  for (const size of [23, 24, 100, 5000, 1_000_000])
    await assert.rejects(parse(header.slice(0, size), size), (e) => e instanceof HalfspaceError && e.code === 'bad-file');
  await assert.rejects(
    parse(header, fullSize - 1),
    (e) => e instanceof HalfspaceError && e.code === 'bad-file' && /truncated/.test(e.message),
  );
});

test('overlapping tensors, unknown types, broken shapes', async () => {
  const type = typeOffset('blk.0.attn_q.weight', 2);
  await assert.rejects(parse(edited((v) => v.setBigUint64(type + 4, 0n, true))), failure('bad-file', 'offset'));
  await assert.rejects(parse(edited((v) => v.setUint32(type, 16, true))), failure('unsupported', 'blk.0.attn_q.weight'));
  await assert.rejects(parse(edited((v) => v.setBigUint64(type - 16, 577n, true))), failure('bad-file', 'blk.0.attn_q.weight'));
});

test('an unknown architecture is refused by name', async () => {
  const file = await parse(header);
  file.metadata['general.architecture'] = 'mamba';
  assert.throws(
    () => modelConfig(file),
    (e) => failure('unsupported', 'general.architecture')(e) && /mamba/.test(String(e)),
  );
});

test('a flipped byte anywhere gives a typed error or a file', { timeout: 600_000 }, async () => {
  let refused = 0;
  for (let i = 0; i < 32; i++) {
    const at = i < 24 ? i : 1_720_000 + i * 1777;
    try {
      await parse(edited((v) => v.setUint8(at, v.getUint8(at) ^ 0x55)));
    } catch (error) {
      assert.ok(error instanceof HalfspaceError, `byte ${at}: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > 10);
});
