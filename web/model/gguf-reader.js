/** Bytes of a GGUF header in the order they come. Nothing is believed before it is there: no count or length makes room. */
import { HalfspaceError } from '../errors.js';

/** Bytes that are read at a time. */
const PIECE_BYTES = 2 << 20;

const STRING = 8;
const BOOL = 7;
const ARRAY = 9;

/** Types of metadata by their numbers, but for strings and lists. */
const NUMBERS = new Map(
  /** @type {const} */ ([
    [0, ['getUint8', Uint8Array]],
    [1, ['getInt8', Int8Array]],
    [2, ['getUint16', Uint16Array]],
    [3, ['getInt16', Int16Array]],
    [4, ['getUint32', Uint32Array]],
    [5, ['getInt32', Int32Array]],
    [6, ['getFloat32', Float32Array]],
    [BOOL, ['getUint8', Uint8Array]],
    [10, ['getBigUint64', BigUint64Array]],
    [11, ['getBigInt64', BigInt64Array]],
    [12, ['getFloat64', Float64Array]],
  ]),
);

/**
 * @param {string} message
 * @param {string} field
 * @param {unknown} [value]
 * @param {unknown} [limit]
 */
export const bad = (message, field, value, limit) => new HalfspaceError('bad-file', message, { field, value, limit });

/**
 * @param {number | bigint} value
 * @param {number} limit
 * @param {string} what
 * @param {string} field
 * @returns {number}
 */
export function atMost(value, limit, what, field) {
  if (value > limit) throw bad(`${what} is ${value}, the limit is ${limit}`, field, value, limit);
  return Number(value);
}

export class HeaderReader {
  /** Offset of the next byte. */
  at = 0;
  #source;
  #limits;
  #signal;
  #bytes = new Uint8Array();
  #view = new DataView(this.#bytes.buffer);
  #text = new TextDecoder('utf-8', { ignoreBOM: true });

  /**
   * @param {import('../bytes/sources.js').ByteSource} source
   * @param {{headerBytes: number, stringBytes: number, listLength: number}} limits
   * @param {AbortSignal} [signal]
   */
  constructor(source, limits, signal) {
    this.#source = source;
    this.#limits = limits;
    this.#signal = signal;
  }

  /**
   * Reads on until so many bytes are there. Only awaited where they are not: tables have hundreds of thousands of entries.
   * @param {number} count
   * @param {string} field what they belong to
   * @returns {Promise<void> | undefined}
   */
  need(count, field) {
    return this.at + count > this.#bytes.length ? this.#read(this.at + count, field) : undefined;
  }

  /** @param {number} end @param {string} field */
  async #read(end, field) {
    const { name, size } = this.#source;
    const { headerBytes } = this.#limits;
    if (end > size) throw bad(`${name} ends at byte ${size}, before its header does: ${field} ends at ${end}`, field, end, size);
    if (end > headerBytes) throw bad(`${name}: the header has more than ${headerBytes} bytes`, 'header', end, headerBytes);
    const known = this.#bytes.length;
    const target = Math.min(size, headerBytes, Math.max(end, known + PIECE_BYTES));
    const grown = new Uint8Array(target);
    grown.set(this.#bytes);
    grown.set(await this.#source.read(known, target - known, { signal: this.#signal }), known);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** @param {number} end as far as the file goes @returns {Promise<Uint8Array>} all bytes before it */
  async bytesTo(end) {
    const there = Math.min(end, this.#source.size);
    if (there > this.#bytes.length) await this.#read(there, 'padding');
    return this.#bytes.subarray(0, there);
  }

  /** @param {string} field */
  async uint32(field) {
    await this.need(4, field);
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  /** @param {string} field */
  async uint64(field) {
    await this.need(8, field);
    this.at += 8;
    return this.#view.getBigUint64(this.at - 8, true);
  }

  /**
   * @param {string} field
   * @param {number} [limit] bytes
   * @returns {Promise<string>}
   */
  async string(field, limit = this.#limits.stringBytes) {
    const shortage = this.need(8, field);
    if (shortage) await shortage;
    const length = atMost(this.#view.getBigUint64(this.at, true), limit, `the length of a text of ${field}`, field);
    this.at += 8;
    const missing = this.need(length, field);
    if (missing) await missing;
    this.at += length;
    return this.#text.decode(this.#bytes.subarray(this.at - length, this.at));
  }

  /**
   * A value of the metadata, its type in front.
   * @param {string} key
   * @returns {Promise<string | number | bigint | boolean | string[] | ArrayBufferView>} a list of numbers is a typed array
   */
  async value(key) {
    const type = await this.uint32(key);
    if (type === STRING) return this.string(key);
    if (type === ARRAY) return this.#list(key);
    const [get, List] = numberType(type, key);
    await this.need(List.BYTES_PER_ELEMENT, key);
    const value = this.#view[get](this.at, true);
    this.at += List.BYTES_PER_ELEMENT;
    return type === BOOL ? value !== 0 : value;
  }

  /** @param {string} key */
  async #list(key) {
    const type = await this.uint32(key);
    const length = atMost(await this.uint64(key), this.#limits.listLength, `the length of ${key}`, key);
    if (type === STRING) {
      const texts = [];
      for (let i = 0; i < length; i++) texts.push(await this.string(key));
      return texts;
    }
    const [, List] = numberType(type, key);
    const bytes = length * List.BYTES_PER_ELEMENT;
    await this.need(bytes, key);
    this.at += bytes;
    return new List(this.#bytes.slice(this.at - bytes, this.at).buffer);
  }
}

/** @param {number} type @param {string} key */
function numberType(type, key) {
  const found = NUMBERS.get(/** @type {any} */ (type));
  if (!found) throw bad(`${key} has the type ${type}, which is none of GGUF's, or a list of lists`, key, type, 12);
  return found;
}
