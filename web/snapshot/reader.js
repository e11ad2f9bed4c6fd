/** Snapshots from bytes: records out of a stream, each verified before it is given on; what belongs where; what is missing. */
import { bytesToHex } from '@noble/hashes/utils.js';

import { createSha256 } from '../bytes/sha256.js';
import { badArgument, ChunkError, HalfspaceError } from '../errors.js';
import {
  CHECKED_BYTES,
  checkStart,
  decodeHeader,
  HEAD_BYTES,
  hex64,
  LIMITS,
  longestSpan,
  placeKey,
  placesOf,
  placeText,
  readHead,
  START_BYTES,
  TRAILER_BYTES,
  TYPES,
} from './format.js';
import { bytesOf } from './kv.js';

/**
 * @typedef {import('./format.js').Header} Header
 * @typedef {import('./format.js').Place} Place
 *
 * @typedef {object} SnapshotRecord
 * @property {import('./format.js').Head} head
 * @property {Uint8Array} headBytes
 * @property {number} offset of the record in the file
 *
 * @typedef {object} SnapshotInfo what a snapshot is, for the next one to add to; plain data
 * @property {string} hash SHA-256, in hex: the snapshot's name
 * @property {Header} header what it says of itself
 * @property {number} bytes of the file; of one that adds to another, of the addition
 * @property {number} records in it
 * @property {Record<string, string>} checksums of every chunk, those of the snapshots it adds to included
 *
 * @typedef {object} Sink where a snapshot goes
 * @property {(header: Header, held: SnapshotInfo['checksums']) => void} [begin] held: chunks that are there already
 * @property {(place: Place, pointer: number) => void} [chunk] throws when the core refuses the bytes
 * @property {() => void} [end]
 */

/** Takes records out of bytes that come in pieces of any length. */
class RecordReader {
  #head = new Uint8Array(HEAD_BYTES);
  /** Bytes of the start, the head or the payload that are there. */
  #filled = 0;
  /** @type {import('./format.js').Head | undefined} */
  #current;
  #started = false;
  #next = 0;
  #offset = 0;
  #at = 0;
  #over = false;

  /**
   * @param {import('./staging.js').Staging} staging takes the payloads
   * @param {(head: import('./format.js').Head) => [number, number] | undefined} expect least and most bytes that the payload may
   *   have; undefined: no record of its type can come now
   */
  constructor(staging, expect) {
    this.staging = staging;
    this.expect = expect;
  }

  /**
   * The records that end in a piece; the payload of each is staged until the next one is asked for.
   * @param {Uint8Array} piece
   * @returns {Generator<SnapshotRecord, void>}
   * @throws {ChunkError}
   */
  *push(piece) {
    for (let at = 0; at < piece.length;) {
      if (this.#over) throw this.#bad('bytes after the end of the snapshot', 'length', this.#at + piece.length - at, this.#at);
      const target = this.#current
        ? this.staging.payload(this.#current.length)
        : this.#head.subarray(0, this.#started ? HEAD_BYTES : START_BYTES);
      const part = piece.subarray(at, at + target.length - this.#filled);
      target.set(part, this.#filled);
      this.#filled += part.length;
      this.#at += part.length;
      at += part.length;
      if (this.#filled < target.length) return;
      this.#filled = 0;
      if (!this.#started) this.#start();
      else if (this.#current) yield this.#finish(this.#current);
      else this.#begin();
    }
  }

  /** @throws {ChunkError} the bytes ended before the snapshot did */
  end() {
    if (!this.#over) throw this.#bad('the snapshot ends here', 'length', this.#at, 'a trailer');
  }

  #start() {
    checkStart(this.#head);
    this.#started = true;
    this.#offset = this.#at;
  }

  #begin() {
    const sum = this.staging.checksum(this.#head.subarray(0, CHECKED_BYTES));
    const stated = new DataView(this.#head.buffer).getBigUint64(CHECKED_BYTES, true);
    if (sum !== stated) throw this.#bad('the checksum of its head is wrong', 'checksum', hex64(sum), hex64(stated));
    const head = readHead(new DataView(this.#head.buffer));
    if (head.index !== this.#next)
      throw this.#bad(`record ${head.index} comes where ${this.#next} should`, 'index', head.index, this.#next);
    const range = this.expect(head);
    if (!range) throw this.#bad(`no record of type ${head.type} can come here`, 'type', head.type, undefined);
    if (head.length < range[0] || head.length > range[1])
      throw this.#bad(`its payload has ${head.length} bytes`, 'length', head.length, range[1]);
    this.staging.reserve(head.length);
    this.#current = head;
  }

  /** @param {import('./format.js').Head} head @returns {SnapshotRecord} */
  #finish(head) {
    const sum = this.staging.payloadChecksum(head.length);
    if (sum !== head.checksum) throw this.#bad('the checksum of its payload is wrong', 'checksum', hex64(sum), hex64(head.checksum));
    const record = { head, headBytes: this.#head.slice(), offset: this.#offset };
    this.#current = undefined;
    this.#next++;
    this.#offset = this.#at;
    this.#over = head.type === TYPES.trailer;
    return record;
  }

  /** @param {string} message @param {string} field @param {unknown} value @param {unknown} limit */
  #bad(message, field, value, limit) {
    return new ChunkError(message, { chunk: this.#next, offset: this.#offset, field, value, limit });
  }
}

/** Reads one snapshot, in pieces, into a sink. */
export class SnapshotReader {
  /** @type {Header | undefined} */
  header;
  /** @type {number[]} */
  tokens = [];
  /** @type {SnapshotInfo | undefined} what it is, once it is complete */
  info;
  /** @type {SnapshotInfo['checksums']} */
  #held = {};
  /** @type {SnapshotInfo['checksums']} */
  #checksums = {};
  #hash = createSha256();
  /** @type {Generator<Place, void> | undefined} */
  #places;
  /** @type {Place | undefined} the first place for which nothing came yet */
  #next;

  /**
   * @param {import('./staging.js').Staging} staging
   * @param {Sink} [sink] default none: to verify
   */
  constructor(staging, sink = {}) {
    this.staging = staging;
    this.sink = sink;
    this.records = new RecordReader(staging, (head) => this.#expect(head));
  }

  /**
   * @param {Uint8Array} piece
   * @param {SnapshotInfo} [previous] as in begin()
   */
  async push(piece, previous) {
    for (const record of this.records.push(piece)) {
      this.accept(record);
      if (record.head.type === TYPES.header) this.begin(previous);
    }
  }

  /** @throws {ChunkError} it is not complete */
  end() {
    this.records.end();
  }

  /** @param {SnapshotRecord} record whose payload is staged; begin() comes between the header and what follows */
  accept(record) {
    const { head } = record;
    if (head.type === TYPES.trailer) return this.#end(record);
    this.#hash.update(record.headBytes);
    if (head.type === TYPES.chunk) return this.#chunk(record);
    const bytes = this.staging.payload(head.length).slice();
    this.#hash.update(bytes);
    if (head.type === TYPES.header) this.header = decodeHeader(bytes);
    else this.tokens = Array.from(new Int32Array(bytes.buffer));
  }

  /** @param {import('./format.js').Head} head @returns {[number, number] | undefined} */
  #expect({ type, index, sealed, keys }) {
    const { header } = this;
    const hasTokens = header?.kind === 'context';
    const first = hasTokens ? 2 : 1;
    if (!header) return type === TYPES.header && index === 0 ? [1, LIMITS.headerBytes] : undefined;
    if (type === TYPES.tokens && hasTokens && index === 1) return [4 * header.tokens, 4 * header.tokens];
    if (type === TYPES.trailer && index >= first) return [TRAILER_BYTES, TRAILER_BYTES];
    if (type !== TYPES.chunk || index < first) return undefined;
    const bytes = keys >= 1 && keys <= longestSpan(header) ? bytesOf(this.staging.wasm, header, { sealed, keys }) : -1;
    return [bytes, bytes];
  }

  /**
   * Goes on from the header.
   * @param {SnapshotInfo} [previous] what the snapshot may add to
   * @throws {import('../errors.js').HalfspaceError} bad-argument: it adds to another one; what the sink throws
   */
  begin(previous) {
    const header = /** @type {Header} */ (this.header);
    const base = previous?.hash ?? null;
    if (header.base !== base)
      throw badArgument('base', `must be ${base ?? 'none'}: the snapshot adds to ${header.base ?? 'none'}`, header.base, base);
    this.#held = previous?.checksums ?? {};
    this.#places = placesOf(header);
    this.#advance();
    this.sink.begin?.(header, this.#held);
  }

  #advance() {
    this.#next = /** @type {Generator<Place, void>} */ (this.#places).next().value ?? undefined;
  }

  /** Passes by places that are held, up to one that is not or is the given one. @param {string} [wanted] */
  #skipHeld(wanted) {
    for (; this.#next; this.#advance()) {
      const key = placeKey(this.#next);
      if (key === wanted || !(key in this.#held)) return;
      this.#checksums[key] = this.#held[key];
    }
  }

  /** @param {SnapshotRecord} record */
  #chunk({ head, offset }) {
    this.#skipHeld(placeKey(head));
    const where = { chunk: head.index, offset };
    const expected = this.#next;
    if (!expected || placeKey(expected) !== placeKey(head) || expected.position !== head.position) {
      const wanted = expected ? placeText(expected) : 'the trailer';
      throw new ChunkError(`${placeText(head)} come where ${wanted} should`, {
        ...where,
        field: 'place',
        value: placeText(head),
        limit: wanted,
      });
    }
    try {
      this.sink.chunk?.(expected, this.staging.reserve(head.length));
    } catch (cause) {
      // Only bytes that the core refuses are the snapshot's fault: want of memory is not.
      if (cause instanceof HalfspaceError && cause.code !== 'bad-argument') throw cause;
      throw new ChunkError(`${placeText(head)}: ${/** @type {Error} */ (cause).message}`, { ...where, field: 'content', cause });
    }
    this.#checksums[placeKey(head)] = hex64(head.checksum);
    this.#advance();
  }

  /** @param {SnapshotRecord} record */
  #end({ head, offset }) {
    this.#skipHeld();
    const where = { chunk: head.index, offset };
    const header = /** @type {Header} */ (this.header);
    if (this.#next) {
      const wanted = placeText(this.#next);
      throw new ChunkError(`the trailer comes where ${wanted} should`, { ...where, field: 'place', value: 'trailer', limit: wanted });
    }
    const payload = this.staging.payload(TRAILER_BYTES).slice();
    const stated = bytesToHex(payload.subarray(16));
    const hash = this.#hash.hex();
    if (hash !== stated) throw new ChunkError('the hash of the whole is wrong', { ...where, field: 'hash', value: hash, limit: stated });
    const records = new DataView(payload.buffer).getUint32(0, true);
    const before = Number(new DataView(payload.buffer).getBigUint64(8, true));
    if (records !== head.index)
      throw new ChunkError(`it counts ${records} records`, { ...where, field: 'records', value: records, limit: head.index });
    if (before !== offset) throw new ChunkError(`it counts ${before} bytes`, { ...where, field: 'bytes', value: before, limit: offset });
    this.sink.end?.();
    this.info = { hash, header, bytes: offset + HEAD_BYTES + TRAILER_BYTES, records: records + 1, checksums: this.#checksums };
  }
}
