/** Where records lie inside the core while they are written, checked and read. */
import { HalfspaceError } from '../errors.js';
import { HEAD_BYTES } from './format.js';

/** A head, and its checksum behind. */
const SMALL_BYTES = 64;

export class Staging {
  #small;
  #payload = 0;
  #room = 0;

  /** @param {import('../core/wasm-loader.js').Wasm} wasm */
  constructor(wasm) {
    this.wasm = wasm;
    this.#small = wasm.alloc(SMALL_BYTES, 'snapshot');
  }

  /** @param {number} bytes @returns {number} pointer to room for a payload; its content is lost when it has to grow */
  reserve(bytes) {
    this.#open();
    if (bytes > this.#room) {
      this.wasm.exports.hs_free(this.#payload);
      this.#payload = this.#room = 0;
      this.#payload = this.wasm.alloc(bytes, 'snapshot');
      this.#room = bytes;
    }
    return this.#payload;
  }

  /** A view of the payload, good until memory is allocated. @param {number} bytes */
  payload(bytes) {
    this.#open();
    return this.wasm.bytes(this.#payload, bytes);
  }

  /** XXH64 of a payload. @param {number} bytes */
  payloadChecksum(bytes) {
    return this.#checksum(this.#payload, bytes);
  }

  /** XXH64 of up to HEAD_BYTES bytes. @param {Uint8Array} bytes */
  checksum(bytes) {
    this.#open();
    this.wasm.bytes(this.#small, bytes.length).set(bytes);
    return this.#checksum(this.#small, bytes.length);
  }

  /** @param {number} pointer @param {number} bytes */
  #checksum(pointer, bytes) {
    this.wasm.exports.hs_checksum(pointer, bytes, this.#small + HEAD_BYTES);
    return new DataView(this.wasm.memory.buffer).getBigUint64(this.#small + HEAD_BYTES, true);
  }

  /** An abort frees it between two steps of what uses it. */
  #open() {
    if (this.#small === 0) throw new HalfspaceError('closed', 'the snapshot was ended', { field: 'snapshot' });
  }

  free() {
    this.wasm.exports.hs_free(this.#payload);
    this.wasm.exports.hs_free(this.#small);
    this.#payload = this.#small = this.#room = 0;
  }
}
