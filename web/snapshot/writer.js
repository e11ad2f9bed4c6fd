/** Snapshots as streams of bytes: one record after the other, made when it is asked for. */
import { aborted, throwIfAborted } from '../abort.js';
import { createSha256 } from '../bytes/sha256.js';
import { badArgument } from '../errors.js';
import {
  CHECKED_BYTES,
  encodeHeader,
  fileStart,
  HEAD_BYTES,
  hex64,
  placeKey,
  placesOf,
  placeText,
  TRAILER_BYTES,
  TYPES,
  writeHead,
} from './format.js';
import { bytesOf } from './kv.js';
import { Staging } from './staging.js';

/**
 * @typedef {import('./reader.js').SnapshotInfo} SnapshotInfo
 *
 * @typedef {object} Subject what a snapshot is taken of
 * @property {import('../core/wasm-loader.js').Wasm} wasm
 * @property {Omit<import('./format.js').Header, 'base'>} header
 * @property {number[]} [tokens] of a context
 * @property {(place: import('./format.js').Place) => number} kv pointer to the cache of a place's layer, KV head and part
 * @property {() => void} check throws when it is no longer what it was
 * @property {() => void} release called once, when the stream has ended
 *
 * @typedef {object} SnapshotOptions what a snapshot is to hold
 * @property {SnapshotInfo} [since] an earlier snapshot: only what is new is written, and the two are loaded together
 * @property {AbortSignal} [signal] ends the stream with 'aborted'
 * @property {(info: SnapshotInfo) => void} [onInfo] called once, with the last bytes: what `since` may be next time
 */

/** Settings that two snapshots have to share, to add up. @param {Subject['header']} header */
const common = ({ kind, model, kv, shape, index, rope }) => JSON.stringify({ kind, model, kv, shape, index, rope });

/** Makes the records of one snapshot. */
class Records {
  #staging;
  #index = 0;
  #bytes = 0;
  #hash = createSha256();
  /** @type {SnapshotInfo['checksums']} */
  #checksums = {};

  /** @param {Subject} subject @param {SnapshotInfo} [since] */
  constructor(subject, since) {
    this.subject = subject;
    this.since = since;
    this.header = { ...subject.header, base: since?.hash ?? null };
    this.#staging = new Staging(subject.wasm);
  }

  free() {
    this.#staging.free();
  }

  /** @returns {AsyncGenerator<Uint8Array, SnapshotInfo>} */
  async *all() {
    const start = fileStart();
    this.#bytes = start.length;
    yield start;
    yield this.#hashed(TYPES.header, encodeHeader(this.header));
    const { tokens } = this.subject;
    if (tokens) yield this.#hashed(TYPES.tokens, new Uint8Array(Int32Array.from(tokens).buffer));
    for (const place of placesOf(this.header)) {
      this.subject.check();
      const record = this.#chunk(place);
      if (record) yield record;
    }
    const hash = this.#hash.hex();
    yield this.#trailer(hash);
    return { hash, header: this.header, bytes: this.#bytes, records: this.#index, checksums: this.#checksums };
  }

  /** @param {number} type @param {Uint8Array} payload */
  #plain(type, payload) {
    this.#staging.reserve(payload.length);
    this.#staging.payload(payload.length).set(payload);
    return this.#record({ type, length: payload.length, checksum: this.#staging.payloadChecksum(payload.length) });
  }

  /** @param {number} type @param {Uint8Array} payload */
  #hashed(type, payload) {
    const record = this.#plain(type, payload);
    this.#hash.update(record);
    return record;
  }

  /** @param {import('./format.js').Place} place @returns {Uint8Array | undefined} undefined where the earlier snapshot has it */
  #chunk(place) {
    const { wasm } = this.subject;
    const length = bytesOf(wasm, this.header, place);
    const { sealed, first, keys } = place;
    const payload = this.#staging.reserve(length);
    wasm.check(wasm.exports.hs_record_write(this.subject.kv(place), sealed ? 1 : 0, first, keys, payload), placeText(place));
    const checksum = this.#staging.payloadChecksum(length);
    const key = placeKey(place);
    this.#checksums[key] = hex64(checksum);
    if (this.since?.checksums[key] === this.#checksums[key]) return undefined;
    const record = this.#record({ ...place, type: TYPES.chunk, length, checksum });
    this.#hash.update(record.subarray(0, HEAD_BYTES));
    return record;
  }

  /** @param {string} hash */
  #trailer(hash) {
    const payload = new Uint8Array(TRAILER_BYTES);
    const view = new DataView(payload.buffer);
    view.setUint32(0, this.#index, true);
    view.setBigUint64(8, BigInt(this.#bytes), true);
    payload.set(hash.match(/../g)?.map((byte) => parseInt(byte, 16)) ?? [], 16);
    return this.#plain(TYPES.trailer, payload);
  }

  /**
   * A record of what is staged.
   * @param {Partial<import('./format.js').Head> & {type: number, length: number, checksum: bigint}} head
   */
  #record(head) {
    const bytes = new Uint8Array(HEAD_BYTES + head.length);
    const view = new DataView(bytes.buffer);
    writeHead(view, { ...head, index: this.#index++ });
    view.setBigUint64(CHECKED_BYTES, this.#staging.checksum(bytes.subarray(0, CHECKED_BYTES)), true);
    bytes.set(this.#staging.payload(head.length), HEAD_BYTES);
    this.#bytes += bytes.length;
    return bytes;
  }
}

/**
 * @param {Subject} subject
 * @param {SnapshotOptions} [options]
 * @returns {ReadableStream<Uint8Array>}
 */
export function snapshotStream(subject, { since, signal, onInfo } = {}) {
  /** @type {Records} */
  let records;
  try {
    throwIfAborted(signal);
    if (since && common(since.header) !== common(subject.header))
      throw badArgument('since', 'must be a snapshot of the same model and settings', since.header, subject.header);
    records = new Records(subject, since);
  } catch (error) {
    subject.release();
    throw error;
  }
  const source = records.all();
  let open = true;
  const finish = () => {
    if (!open) return;
    open = false;
    signal?.removeEventListener('abort', stop);
    records.free();
    subject.release();
  };
  /** @type {ReadableStreamDefaultController<Uint8Array>} */
  let controller;
  const stop = () => {
    if (!open) return;
    finish();
    controller.error(aborted(signal));
  };
  return new ReadableStream(
    {
      start(given) {
        controller = given;
        signal?.addEventListener('abort', stop);
      },
      async pull() {
        try {
          const { done, value } = await source.next();
          if (!open) return;
          if (!done) return controller.enqueue(value);
          finish();
          onInfo?.(value);
          controller.close();
        } catch (error) {
          finish();
          throw error;
        }
      },
      cancel: finish,
    },
    { highWaterMark: 0 },
  );
}
