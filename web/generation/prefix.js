/** A prefilled prompt that several generations may continue, and its snapshots. */
import { checkInteger } from '../checks.js';
import { HalfspaceError } from '../errors.js';
import { snapshotStream } from '../snapshot/writer.js';
import { contextSubject } from './context-snapshot.js';

/** @typedef {import('../remote/api.js').Prefix} Api */

/** A prefilled prompt that several generations may continue. @implements {Api} */
export class Prefix {
  #freed = false;

  /** Use Engine.prefill(). @internal @param {import('./context.js').Context} context @param {number} prefillMs */
  constructor(context, prefillMs) {
    /** @internal */
    this.context = context;
    /** Milliseconds that reading, or resuming, took. */
    this.prefillMs = prefillMs;
    /** What it was resumed from, for `since`. @type {import('../snapshot/reader.js').SnapshotInfo | undefined} */
    this.saved = undefined;
  }

  /** Ids of all of its tokens, from the first on. */
  get ids() {
    return this.context.ids;
  }

  /** Tokens, those of the prefix it continues included. */
  get length() {
    return this.context.length;
  }

  /** Tokens that belong to the prefix this one continues. */
  get inherited() {
    return this.context.parent?.length ?? 0;
  }

  /**
   * Keeps the first tokens.
   * @param {number} length inherited..length
   * @throws {HalfspaceError} bad-argument: out of range, or something continues this prefix
   */
  truncate(length) {
    this.context.truncate(checkInteger('length', length, this.inherited, this.length));
    this.saved = undefined;
  }

  /**
   * Its caches as bytes, for Engine.resume(). It may be freed while the stream is read; a stream that is not read to its end
   * has to be cancelled.
   * @param {import('../snapshot/writer.js').SnapshotOptions} [options] since: only what is new; signal; onInfo: gets the snapshot's name
   * @returns {ReadableStream<Uint8Array>}
   * @throws {HalfspaceError} closed: it was freed; bad-argument: `since` is no snapshot of what it continues; the stream: aborted
   */
  snapshot(options) {
    if (this.#freed) throw new HalfspaceError('closed', 'the prefix was freed', { field: 'prefix' });
    return snapshotStream(contextSubject(this.context), options);
  }

  /** Gives the memory back, once generations that use it have ended. */
  free() {
    if (!this.#freed) this.context.release();
    this.#freed = true;
  }

  /** Whether free() was called. */
  get freed() {
    return this.#freed;
  }
}
