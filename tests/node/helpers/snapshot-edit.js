/** Snapshots taken apart, and put together again with checksums that are right: damage that only a look at the content shows. */
import { createHash } from 'node:crypto';

import { coreOf } from '../../../web/attention/core.js';
import { CHECKED_BYTES, HEAD_BYTES, readHead, START_BYTES, TRAILER_BYTES, TYPES, writeHead } from '../../../web/snapshot/format.js';
import { Staging } from '../../../web/snapshot/staging.js';

export { bytesOf, inPieces } from '../../suites/snapshot-bytes.js';

/**
 * @typedef {{head: import('../../../web/snapshot/format.js').Head, payload: Uint8Array<ArrayBuffer>, offset: number}} Part
 */

/** @param {Uint8Array} bytes @returns {Part[]} */
export function takeApart(bytes) {
  const parts = [];
  for (let offset = START_BYTES; offset < bytes.length;) {
    const head = readHead(new DataView(bytes.buffer, bytes.byteOffset + offset));
    parts.push({ head, payload: bytes.slice(offset + HEAD_BYTES, offset + HEAD_BYTES + head.length), offset });
    offset += HEAD_BYTES + head.length;
  }
  return parts;
}

/**
 * Numbers the records anew and makes every checksum right, the trailer's included.
 * @param {Uint8Array} bytes of the file it was
 * @param {Part[]} parts
 */
export async function putTogether(bytes, parts) {
  const staging = new Staging((await coreOf()).wasm);
  const out = [bytes.slice(0, START_BYTES)];
  const hash = createHash('sha256');
  let length = START_BYTES;
  parts.forEach(({ head, payload }, index) => {
    if (head.type === TYPES.trailer && payload.length === TRAILER_BYTES) {
      payload = payload.slice();
      const view = new DataView(payload.buffer);
      view.setUint32(0, index, true);
      view.setBigUint64(8, BigInt(length), true);
      payload.set(hash.copy().digest(), 16);
    }
    staging.reserve(payload.length);
    staging.payload(payload.length).set(payload);
    const record = new Uint8Array(HEAD_BYTES);
    const view = new DataView(record.buffer);
    writeHead(view, { ...head, index, length: payload.length, checksum: staging.payloadChecksum(payload.length) });
    view.setBigUint64(CHECKED_BYTES, staging.checksum(record.subarray(0, CHECKED_BYTES)), true);
    if (head.type !== TYPES.trailer) hash.update(record);
    if (head.type === TYPES.header || head.type === TYPES.tokens) hash.update(payload);
    out.push(record, payload);
    length += record.length + payload.length;
  });
  staging.free();
  return new Uint8Array(Buffer.concat(out));
}

/**
 * The same with another header.
 * @param {Uint8Array} bytes
 * @param {(header: any) => void} edit
 */
export async function withHeader(bytes, edit) {
  const [first, ...others] = takeApart(bytes);
  const header = JSON.parse(Buffer.from(first.payload).toString());
  edit(header);
  return putTogether(bytes, [{ ...first, payload: new Uint8Array(Buffer.from(JSON.stringify(header))) }, ...others]);
}
