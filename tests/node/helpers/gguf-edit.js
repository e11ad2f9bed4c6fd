/** Copies of a GGUF file with one fault in the header. Tensor data stays where it is. */
import assert from 'node:assert/strict';

/** Offset of a length-prefixed string in a header. @param {Buffer} file @param {string} text */
export function stringAt(file, text) {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  const at = file.indexOf(Buffer.concat([prefix, Buffer.from(text)]));
  assert.ok(at > 0, `${text} is in the header`);
  return at;
}

/** @param {Buffer} file @param {string} text offset behind it */
const behind = (file, text) => stringAt(file, text) + 8 + text.length;

/** @param {Buffer} file @param {string} from @param {string} to of the same length */
export function renamed(file, from, to) {
  assert.equal(from.length, to.length);
  const copy = Buffer.from(file);
  copy.write(to, behind(copy, from) - from.length);
  return copy;
}

/** @param {Buffer} file @param {string} tensor @param {number} dimension 0: columns, 1: rows @param {number} size */
export function reshaped(file, tensor, dimension, size) {
  const copy = Buffer.from(file);
  copy.writeBigUInt64LE(BigInt(size), behind(copy, tensor) + 4 + 8 * dimension);
  return copy;
}

/** @param {Buffer} file @param {string} key of a uint32 @param {number} value */
export function withUint32(file, key, value) {
  const copy = Buffer.from(file);
  copy.writeUInt32LE(value, behind(copy, key) + 4);
  return copy;
}

/** The bytes that the tensor's entry leaves are put behind the model's name. @param {Buffer} file @param {string} tensor */
export function withoutTensor(file, tensor) {
  const dimensions = behind(file, tensor);
  const start = dimensions - tensor.length - 8;
  const end = dimensions + 4 + 8 * file.readUInt32LE(dimensions) + 4 + 8;
  const length = behind(file, 'general.name') + 4;
  const nameEnd = length + 8 + Number(file.readBigUInt64LE(length));
  const parts = [file.subarray(0, nameEnd), Buffer.alloc(end - start, ' '), file.subarray(nameEnd, start), file.subarray(end)];
  const copy = Buffer.concat(parts);
  copy.writeBigUInt64LE(BigInt(nameEnd - length - 8 + end - start), length);
  copy.writeBigUInt64LE(file.readBigUInt64LE(8) - 1n, 8);
  return copy;
}
