/** Bytes of snapshots, taken apart by web/snapshot/FORMAT.md alone. */

const [START_BYTES, HEAD_BYTES, LENGTH_AT] = [16, 48, 8];

/** @param {ReadableStream<Uint8Array>} stream */
export const bytesOf = async (stream) => new Uint8Array(await new Response(/** @type {BodyInit} */ (stream)).arrayBuffer());

/** @param {Uint8Array} bytes @param {number} size @returns {ReadableStream<Uint8Array>} in pieces of this size */
export function inPieces(bytes, size) {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
}

/** Where records start, in order, and where the file ends. @param {Uint8Array} bytes */
export function offsetsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const offsets = [START_BYTES];
  for (let at = START_BYTES; at < bytes.length; offsets.push(at)) at += HEAD_BYTES + view.getUint32(at + LENGTH_AT, true);
  return offsets;
}

/** With one byte of a record's payload changed. @param {Uint8Array} bytes @param {number} record */
export function damaged(bytes, record) {
  const changed = bytes.slice();
  changed[offsetsOf(bytes)[record] + HEAD_BYTES + 5] ^= 4;
  return changed;
}
