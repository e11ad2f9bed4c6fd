/** The bytes of a snapshot's source in pieces, whatever it is. */
import { throwIfAborted } from '../abort.js';
import { openSource } from '../bytes/sources.js';
import { badArgument } from '../errors.js';

/**
 * @typedef {import('../bytes/sources.js').ByteSource} ByteSource
 * @typedef {string | URL | Blob | Uint8Array | ArrayBuffer | ReadableStream<Uint8Array> | ByteSource} SnapshotSource a path, a
 *   URL, a File, bytes, a stream, or what a store opens
 */

/**
 * @param {ReadableStream<Uint8Array>} stream cancelled when it is not read to its end
 * @param {AbortSignal} [signal]
 */
async function* fromStream(stream, signal) {
  const reader = stream.getReader();
  const stop = () => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener('abort', stop);
  let ended = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      const { done, value } = await reader.read();
      throwIfAborted(signal);
      ended = done;
      if (done) return;
      if (!(value instanceof Uint8Array)) throw badArgument('source', 'must be a stream of Uint8Array', value, 'Uint8Array');
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    if (!ended) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

/**
 * @param {ByteSource} source closed at the end
 * @param {AbortSignal} [signal]
 */
async function* fromSource(source, signal) {
  try {
    yield* source.stream(0, source.size, { signal });
  } finally {
    await source.close();
  }
}

/**
 * @param {SnapshotSource} source
 * @param {AbortSignal} [signal]
 * @returns {Promise<{size: number | undefined, pieces: AsyncGenerator<Uint8Array, void>}>} size: bytes, where known. The pieces
 *   have to be read to the end or returned; each is valid until the next is asked for
 */
export async function openPieces(source, signal) {
  throwIfAborted(signal);
  if (source instanceof ReadableStream) return { size: undefined, pieces: fromStream(source, signal) };
  const opened = await openSource(source, { signal });
  return { size: opened.size, pieces: fromSource(opened, signal) };
}
