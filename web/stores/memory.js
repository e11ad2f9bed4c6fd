/** A store in memory: for edge workers, tests, and pages that keep nothing. */
import { fromStream } from '../bytes/sources.js';
import { createClock, notFound, oneAtATime, Store } from './store.js';

const DEFAULT_MAX_BYTES = 64 << 20;
const PIECE_BYTES = 1 << 20;

/**
 * An empty store that lives as long as it is referred to.
 * @param {{maxBytes?: number}} [options] maxBytes: of all entries, default 64 MiB; puts in progress take as much again at most
 * @returns {Store}
 * @throws {import('../errors.js').HalfspaceError} bad-argument: maxBytes
 */
export function openMemoryStore({ maxBytes = DEFAULT_MAX_BYTES } = {}) {
  /** @type {Map<string, import('./store.js').Entry & {pieces: Uint8Array[]}>} */
  const kept = new Map();
  const now = createClock();
  return new Store(
    {
      exclusive: oneAtATime(),
      entries: async () => new Map(kept),
      async create(name) {
        /** @type {Uint8Array[]} */
        const pieces = [];
        return {
          async write(bytes) {
            pieces.push(bytes.slice());
          },
          async seal() {},
          async commit(bytes) {
            const time = now();
            kept.set(name, { bytes, modified: time, used: time, pieces });
          },
          async discard() {},
        };
      },
      async open(name) {
        const entry = kept.get(name);
        if (!entry) throw notFound(name);
        entry.used = now();
        const source = fromStream(name, entry.bytes, (offset, length) => range(entry.pieces, offset, offset + length));
        return { ...source, blob: () => new Blob(/** @type {BlobPart[]} */ (entry.pieces)) };
      },
      remove: async (name) => kept.delete(name),
      persist: async () => false,
    },
    maxBytes,
  );
}

/**
 * @param {Uint8Array[]} pieces
 * @param {number} start
 * @param {number} end
 */
async function* range(pieces, start, end) {
  let base = 0;
  for (const piece of pieces) {
    const last = Math.min(end - base, piece.length);
    for (let at = Math.max(0, start - base); at < last; at += PIECE_BYTES) yield piece.slice(at, Math.min(last, at + PIECE_BYTES));
    base += piece.length;
  }
}
