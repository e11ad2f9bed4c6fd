/** GGUF headers word by word, for files that lie about themselves. */

/** @param {number | bigint} value */
export function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(Number(value));
  return bytes;
}

/** @param {number | bigint} value */
export function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** @param {string} text @param {number | bigint} [length] what it says of itself */
export const text = (text, length = Buffer.byteLength(text)) => Buffer.concat([u64(length), Buffer.from(text)]);

/** @param {string} key @param {number} type @param {...Buffer} value */
export const entry = (key, type, ...value) => Buffer.concat([text(key), u32(type), ...value]);

/** @param {string} key @param {number} type of its entries @param {number | bigint} length @param {...Buffer} entries */
export const list = (key, type, length, ...entries) => entry(key, 9, u32(type), u64(length), ...entries);

/** @param {string} name @param {(number | bigint)[]} shape @param {{type?: number, offset?: number | bigint, dimensions?: number}} [more] */
export const tensor = (name, shape, { type = 0, offset = 0, dimensions = shape.length } = {}) =>
  Buffer.concat([text(name), u32(dimensions), ...shape.map(u64), u32(type), u64(offset)]);

/**
 * @param {Buffer[]} keys
 * @param {Buffer[]} [tensors]
 * @param {{version?: number, keyCount?: number | bigint, tensorCount?: number | bigint, data?: number}} [more] counts that it
 *   claims; data: bytes behind the header
 */
export const header = (keys, tensors = [], { version = 3, keyCount = keys.length, tensorCount = tensors.length, data = 4096 } = {}) =>
  Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensorCount), u64(keyCount), ...keys, ...tensors, Buffer.alloc(data)]);
