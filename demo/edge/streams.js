/** Streams in and out of requests: vectors of f32, and what an iterator yields. */
import { HalfspaceError } from 'halfspace/edge';

/**
 * Cuts a body of f32 numbers, little endian, into vectors, each as soon as it is there.
 * @param {ReadableStream<Uint8Array> | null} body
 * @param {number} length numbers per vector
 * @returns {AsyncGenerator<Float32Array, void>}
 */
export async function* vectors(body, length) {
  const vector = new Float32Array(length);
  const bytes = new Uint8Array(vector.buffer);
  let filled = 0;
  for await (let piece of body ?? []) {
    while (piece.length > 0) {
      const part = piece.subarray(0, bytes.length - filled);
      bytes.set(part, filled);
      filled += part.length;
      piece = piece.subarray(part.length);
      if (filled < bytes.length) continue;
      filled = 0;
      yield vector;
    }
  }
  if (filled > 0)
    throw new HalfspaceError('bad-argument', `the body ends ${filled} bytes into a query of ${bytes.length}`, {
      field: 'body',
      value: filled,
      limit: bytes.length,
    });
}

/**
 * A response that streams what the iterator yields, as fast as it is read. What goes wrong before the first piece is thrown,
 * so that it still gets a status of its own; what goes wrong later breaks the stream.
 * @param {AsyncGenerator<Uint8Array, void>} pieces
 * @param {string} type
 */
export async function streamResponse(pieces, type) {
  let next = await pieces.next();
  const body = new ReadableStream({
    async pull(controller) {
      if (next.done) return controller.close();
      controller.enqueue(next.value);
      next = await pieces.next();
    },
    cancel: () => void pieces.return(),
  });
  return new Response(body, { headers: { 'content-type': type } });
}
