/** What is written and read as a stream: caches and indexes. */
import { GrowingHandle } from './handle.js';
import { readableOf, writableOf } from './streams.js';

/**
 * @typedef {object} Layout what two have to share for a snapshot of one to fit the other
 * @property {'cache' | 'index'} kind
 * @property {number} headDim
 * @property {number} kvHeads
 * @property {'q8' | 'f32'} type
 * @property {number} maxChunk
 */

/** What grows, and is written and read as a stream. */
export class StreamedHandle extends GrowingHandle {
  /** @type {{revision: number, info: import('../snapshot/reader.js').SnapshotInfo} | undefined} */
  #saved;

  /**
   * @internal
   * @param {import('./core.js').Core} core
   * @param {string} name as of Handle
   * @param {Layout} layout
   * @param {() => number} create
   */
  constructor(core, name, layout, create) {
    super(core, name, create);
    /** @internal */
    this.layout = layout;
  }

  /** The snapshot that holds what the cache holds: the last one that was written or read, while nothing has changed since. */
  get saved() {
    return this.#saved?.revision === this.revision ? this.#saved.info : undefined;
  }

  /** @internal @param {import('../snapshot/reader.js').SnapshotInfo} info */
  noteSaved(info) {
    this.#saved = { revision: this.revision, info };
  }

  /**
   * What it holds as a stream of chunk records (web/snapshot/FORMAT.md). It must not change before the stream has ended.
   * @param {import('../snapshot/writer.js').SnapshotOptions} [options] since: only what changed since that snapshot
   * @returns {ReadableStream<Uint8Array>}
   * @throws {import('../errors.js').HalfspaceError} closed; the stream: bad-argument: `since` is no snapshot of
   *   this, or it has changed since the stream began; aborted; closed
   */
  readable(options = {}) {
    return readableOf(this, options);
  }

  /**
   * Takes the bytes of a snapshot, of one of this kind and shape, in pieces of any length: into an empty one, or, where it was
   * taken `since` another, into one that holds that. Queries are answered on the positions that have arrived in all KV heads.
   * What is damaged, missing or out of order is refused by a ChunkError, and what was verified before stays; so it does when
   * the stream is aborted. In workerd, whose pipes end without an error where it comes while they wait for bytes, a
   * response's body takes the signal of pipeTo() instead (demo/edge/snapshots.js).
   * @param {{signal?: AbortSignal}} [options] signal: ends the stream with 'aborted'
   * @returns {WritableStream<Uint8Array>}
   * @throws {import('../errors.js').HalfspaceError} closed; the stream: bad-chunk (ChunkError), bad-file, bad-argument: of another kind or
   *   shape, or not what comes next; out-of-memory; aborted
   */
  writable(options = {}) {
    return writableOf(this, options);
  }
}
