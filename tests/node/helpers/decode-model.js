/** The same model with its quantised weights decoded to f16: what llama.cpp computes without rounding activations to 8 bits. */
import { openSource } from '../../../web/bytes/sources.js';
import { readGguf } from '../../../web/model/gguf.js';
import { stringAt } from './gguf-edit.js';
import { writeGguf } from './gguf-writer.js';
import { fromHalf, toHalf } from './half.js';

const F16 = 1;

/**
 * ggml-quants.c, block_q4_1 and block_q8_0.
 * @type {Record<string, (view: DataView, at: number, out: Float32Array) => void>} one block at byte `at` to out[32]
 */
const DECODERS = {
  Q4_1(view, at, out) {
    const d = fromHalf(view.getUint16(at, true));
    const m = fromHalf(view.getUint16(at + 2, true));
    for (let i = 0; i < 16; i++) {
      const pair = view.getUint8(at + 4 + i);
      out[i] = d * (pair & 15) + m;
      out[i + 16] = d * (pair >> 4) + m;
    }
  },
  Q8_0(view, at, out) {
    const d = fromHalf(view.getUint16(at, true));
    for (let i = 0; i < 32; i++) out[i] = d * view.getInt8(at + 2 + i);
  },
};

/**
 * @param {string} path of a file with Q4_1, Q8_0 and float tensors
 * @returns {Promise<Buffer>}
 */
export async function decodeModel(path) {
  const source = await openSource(path);
  const file = await readGguf(source);
  const header = Buffer.from(await source.read(0, Math.min(...file.tensors.map((t) => t.offset))));
  const names = file.tensors.map(({ name }) => stringAt(header, name));
  const start = 24; // magic, version, and two counts
  const metadata = { count: Number(header.readBigUInt64LE(16)), bytes: header.subarray(start, Math.min(...names)) };
  const tensors = [];
  for (const { name, type, typeName, rows, cols, offset, nbytes } of file.tensors) {
    const data = await source.read(offset, nbytes);
    const shape = rows === 1 ? [cols] : [cols, rows];
    const decode = DECODERS[typeName];
    if (!decode) {
      tensors.push({ name, type, shape, data });
      continue;
    }
    const view = new DataView(data.buffer);
    const block = new Float32Array(32);
    const halves = new Uint16Array(rows * cols);
    const blockBytes = nbytes / (halves.length / 32);
    for (let b = 0; b < halves.length / 32; b++) {
      decode(view, b * blockBytes, block);
      for (let i = 0; i < 32; i++) halves[b * 32 + i] = toHalf(block[i]);
    }
    tensors.push({ name, type: F16, shape, data: new Uint8Array(halves.buffer) });
  }
  await source.close();
  return writeGguf(metadata, tensors);
}
