/** Writes GGUF files: metadata alone is enough for a tokenizer, here and in llama.cpp; with tensors they are models. */

const TYPE = { int32: 5, uint32: 4, float32: 6, bool: 7, string: 8, array: 9 };

/** @typedef {string | boolean | number | string[] | Int32Array | Float32Array} Value an integer is written as uint32, any other number as float32 */

/** @typedef {{name: string, type: number, shape: number[], data: Uint8Array}} Tensor type: GGML number; shape: columns first, as in the file */

const ALIGNMENT = 32;
const aligned = (/** @type {number} */ bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * @param {Record<string, Value> | {count: number, bytes: Buffer}} metadata values, or a metadata section as another file has it
 * @param {Tensor[]} [tensors]
 * @returns {Buffer}
 */
export function writeGguf(metadata, tensors = []) {
  /** @type {Buffer[]} */
  const parts = [];
  const uint32 = (/** @type {number} */ value) => {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(value);
    parts.push(buffer);
  };
  const uint64 = (/** @type {number} */ value) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigUInt64LE(BigInt(value));
    parts.push(buffer);
  };
  const string = (/** @type {string} */ text) => {
    const bytes = Buffer.from(text, 'utf8');
    uint64(bytes.length);
    parts.push(bytes);
  };
  const array = (/** @type {number} */ type, /** @type {number} */ length) => {
    uint32(TYPE.array);
    uint32(type);
    uint64(length);
  };

  parts.push(Buffer.from('GGUF'));
  uint32(3); // version
  uint64(tensors.length);
  const encoded = metadata.bytes instanceof Buffer;
  uint64(encoded ? Number(metadata.count) : Object.keys(metadata).length);
  if (encoded) parts.push(/** @type {Buffer} */ (metadata.bytes));
  for (const [key, value] of Object.entries(encoded ? {} : /** @type {Record<string, Value>} */ (metadata))) {
    string(key);
    if (typeof value === 'string') {
      uint32(TYPE.string);
      string(value);
    } else if (typeof value === 'boolean') {
      uint32(TYPE.bool);
      parts.push(Buffer.from([Number(value)]));
    } else if (typeof value === 'number') {
      uint32(Number.isInteger(value) ? TYPE.uint32 : TYPE.float32);
      if (Number.isInteger(value)) uint32(value);
      else parts.push(Buffer.from(Float32Array.of(value).buffer));
    } else if (Array.isArray(value)) {
      array(TYPE.string, value.length);
      for (const text of value) string(text);
    } else {
      array(value instanceof Int32Array ? TYPE.int32 : TYPE.float32, value.length);
      parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    }
  }
  let offset = 0;
  for (const { name, type, shape, data } of tensors) {
    string(name);
    uint32(shape.length);
    for (const n of shape) uint64(n);
    uint32(type);
    uint64(offset);
    offset += aligned(data.length);
  }
  const pad = () => {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    parts.push(Buffer.alloc(aligned(length) - length));
  };
  if (tensors.length > 0) pad();
  for (const { data } of tensors) parts.push(Buffer.from(data), Buffer.alloc(aligned(data.length) - data.length));
  return Buffer.concat(parts);
}
