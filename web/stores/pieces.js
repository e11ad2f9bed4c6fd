/** Bytes on their way into a store and out of it. */
import { orAborted, throwIfAborted } from '../abort.js';
import { generatorStream } from '../bytes/generator-stream.js';
import { badArgument } from '../errors.js';

/**
 * @typedef {Uint8Array | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Iterable<Uint8Array>} Pieces
 *
 * @typedef {object} PieceReader
 * @property {() => Promise<IteratorResult<Uint8Array, unknown>>} next
 * @property {() => unknown} end tells the source that no more is wanted
 */

/**
 * @param {Pieces} source
 * @returns {PieceReader}
 */
function pieceReader(source) {
  if (source instanceof Uint8Array) return iteratorReader([source][Symbol.iterator]());
  if (source instanceof ReadableStream) {
    const reader = source.getReader();
    return { next: async () => /** @type {IteratorResult<Uint8Array>} */ (await reader.read()), end: () => reader.cancel() };
  }
  const { [Symbol.asyncIterator]: async_, [Symbol.iterator]: sync } = /** @type {AsyncIterable<Uint8Array> & Iterable<Uint8Array>} */ (
    typeof source === 'object' ? (source ?? {}) : {}
  );
  if (async_) return iteratorReader(async_.call(source));
  if (sync) return iteratorReader(sync.call(source));
  throw badArgument('source', 'must be a stream or an iterable of Uint8Array', source, 'Uint8Array');
}

/**
 * @param {AsyncIterator<Uint8Array> | Iterator<Uint8Array>} iterator
 * @returns {PieceReader}
 */
const iteratorReader = (iterator) => ({ next: async () => iterator.next(), end: () => iterator.return?.() });

/**
 * The pieces of a source. An abort also ends the wait for a piece that does not come; whoever stops early ends the source.
 * @param {Pieces} source
 * @param {AbortSignal | undefined} signal
 * @returns {AsyncGenerator<Uint8Array, void>}
 */
export async function* piecesOf(source, signal) {
  const reader = pieceReader(source);
  let wanted = true;
  try {
    for (let index = 0; ; index++) {
      throwIfAborted(signal);
      const { done, value } = await orAborted(reader.next(), signal);
      if (done) {
        wanted = false;
        return;
      }
      if (!(value instanceof Uint8Array)) throw badArgument('source', `gave a piece ${index} that is no Uint8Array`, value, 'Uint8Array');
      yield value;
    }
  } finally {
    // Not waited for: a source that hangs may never answer, and its failure is of no interest any more.
    if (wanted) void (async () => reader.end())().catch(() => {});
  }
}

/**
 * A stream of all bytes of a source, which is opened when the first is asked for, and closed at the end.
 * @param {() => Promise<import('../bytes/sources.js').ByteSource>} open
 * @returns {ReadableStream<Uint8Array>}
 */
export function streamOf(open) {
  async function* read() {
    const source = await open();
    try {
      // A piece is the source's own, a chunk of a stream is the reader's.
      for await (const piece of source.stream(0, source.size)) yield piece.slice();
    } finally {
      await source.close();
    }
  }
  return generatorStream(read());
}
