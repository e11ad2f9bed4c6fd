/** Streams in and out of requests. */
import { HalfspaceError } from 'halfspace/edge';

/**
 * Cuts f32 numbers, little endian, into vectors, each as soon as it is there.
 * @param {number} length numbers per vector
 * @returns {TransformStream<Uint8Array, Float32Array>}
 */
export function vectors(length) {
  const bytes = new Uint8Array(4 * length);
  let filled = 0;
  return new TransformStream({
    transform(piece, controller) {
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + bytes.length - filled);
        bytes.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < bytes.length) return;
        filled = 0;
        controller.enqueue(new Float32Array(bytes.slice().buffer));
      }
    },
    flush() {
      if (filled > 0)
        throw new HalfspaceError('bad-argument', `the body ends ${filled} bytes into a query of ${bytes.length}`, {
          field: 'body',
          value: filled,
          limit: bytes.length,
        });
    },
  });
}

/**
 * @template From, To
 * @param {(value: From) => To} change
 * @returns {TransformStream<From, To>}
 */
export const mapped = (change) => new TransformStream({ transform: (value, controller) => controller.enqueue(change(value)) });

/**
 * A response that streams pieces, as fast as it is read. What goes wrong before the first piece is thrown, so that it still
 * gets a status of its own; what goes wrong later breaks the stream.
 * @param {ReadableStream<Uint8Array>} pieces
 * @param {Record<string, string>} headers
 */
export async function streamResponse(pieces, headers) {
  const reader = pieces.getReader();
  let next = await reader.read();
  const body = new ReadableStream({
    async pull(controller) {
      if (next.done) return controller.close();
      controller.enqueue(next.value);
      next = await reader.read();
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(body, { headers });
}
