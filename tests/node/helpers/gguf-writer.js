/** Writes GGUF files that hold metadata only: enough for a tokenizer, here and in llama.cpp. */

const TYPE = { int32: 5, uint32: 4, float32: 6, bool: 7, string: 8, array: 9 };

/** @typedef {string | boolean | number | string[] | Int32Array | Float32Array} Value an integer is written as uint32, any other number as float32 */

/**
 * @param {Record<string, Value>} metadata
 * @returns {Buffer}
 */
export function ggufOfMetadata(metadata) {
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
  uint64(0); // tensors
  uint64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
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
  return Buffer.concat(parts);
}
