/** A store: named bytes, put whole or not at all, in memory, in files, or in the origin private file system of a page. */
import { throwIfAborted } from '../abort.js';
import { badArgument, HalfspaceError } from '../errors.js';
import { piecesOf, streamOf } from './pieces.js';
import { assertSha256, checkSha256, createSha256 } from '../bytes/sha256.js';

/** More are evicted, however small they are: a store reads the list of its entries whole. */
export const MAX_ENTRIES = 4096;
const MAX_NAME = 100;
/** Lower case only, and no device of Windows: one name is one file in every file system. */
const NAME = new RegExp(`^(?!(?:con|prn|aux|nul|com\\d|lpt\\d)(?:\\.|$))[a-z0-9](?:[a-z0-9._-]{0,${MAX_NAME - 2}}[a-z0-9])?$`);

/**
 * @typedef {object} PutOptions what put() takes
 * @property {AbortSignal} [signal] ends it with 'aborted': the name has its old content
 * @property {(bytes: number) => void} [onProgress] bytes written so far
 * @property {string} [sha256] what the content must have, in hexadecimal
 *
 * @typedef {{bytes: number, modified: number, used: number}} Entry times in milliseconds since 1970; used: last put or opened
 *
 * What a kind of store has to do.
 * @typedef {object} Backend
 * @property {<T>(run: () => Promise<T>) => Promise<T>} exclusive one at a time, with entries as they are then
 * @property {() => Promise<Map<string, Entry>>} entries
 * @property {(name: string) => Promise<Draft>} create
 * @property {(name: string) => Promise<import('../bytes/sources.js').ByteSource>} open also notes the use
 * @property {(name: string) => Promise<boolean>} remove false: there is none. Within exclusive(), as commit() of a draft
 * @property {() => Promise<boolean>} persist
 *
 * New content that nobody sees yet.
 * @typedef {object} Draft
 * @property {(bytes: Uint8Array) => Promise<void>} write
 * @property {() => Promise<void>} seal what was written is on the disk after this
 * @property {(bytes: number) => Promise<void>} commit makes it the content of its name, at once
 * @property {() => Promise<void>} discard
 */

/** A store. Use openMemoryStore(), openFileStore() or openOpfsStore(). */
export class Store {
  #backend;
  #drafted = 0;

  /**
   * @internal
   * @param {Backend} backend
   * @param {number} maxBytes all entries together; and, on top, all puts in progress together
   */
  constructor(backend, maxBytes) {
    if (!(maxBytes === Infinity || (Number.isSafeInteger(maxBytes) && maxBytes >= 0)))
      throw badArgument('maxBytes', 'must be a count of bytes', maxBytes, 0);
    this.#backend = backend;
    /** Bytes that all entries may have together. */
    this.maxBytes = maxBytes;
  }

  /**
   * Makes bytes the content of a name. At any time, and also when it fails or the process or tab is killed on the way, the name has all
   * of its old content or all of the new. Of concurrent puts of a name the last to finish stays. Entries that were not used for
   * longest are evicted where maxBytes would be exceeded.
   * @param {string} name 1..100 of a-z 0-9 . _ - from a letter or digit to a letter or digit
   * @param {import('./pieces.js').Pieces} source of its bytes, in pieces of any length
   * @param {PutOptions} [options] what the content must have; signal; onProgress
   * @returns {Promise<{name: string, bytes: number, sha256: string}>}
   * @throws {HalfspaceError} 'quota': maxBytes, the disk or the browser's quota is too small; 'checksum'; 'aborted'; 'io';
   *   'bad-argument': the name
   */
  async put(name, source, { signal, onProgress, sha256: expected } = {}) {
    checkName(name);
    checkSha256(expected);
    throwIfAborted(signal);
    const draft = await this.#backend.create(name);
    const hash = createSha256();
    let bytes = 0;
    try {
      for await (const piece of piecesOf(source, signal)) {
        this.#reserve(name, piece.length, bytes);
        bytes += piece.length;
        await draft.write(piece);
        hash.update(piece);
        onProgress?.(bytes);
      }
      const sha256 = hash.hex();
      assertSha256(name, sha256, expected);
      await draft.seal();
      await this.#backend.exclusive(async () => {
        throwIfAborted(signal);
        await this.#evict(this.maxBytes - bytes, MAX_ENTRIES - 1, name);
        await draft.commit(bytes);
      });
      return { name, bytes, sha256 };
    } catch (error) {
      // What cannot be discarded now is collected when the store is opened the next time.
      await draft.discard().catch(() => {});
      throw error;
    } finally {
      this.#drafted -= bytes;
    }
  }

  /**
   * The content of a name as it is now: a later put or delete does not change it. To be closed.
   * @param {string} name of the entry
   * @returns {Promise<import('../bytes/sources.js').ByteSource>}
   * @throws {HalfspaceError} 'not-found'; 'io'; 'bad-argument': the name
   */
  async open(name) {
    checkName(name);
    return this.#backend.open(name);
  }

  /**
   * The same as a stream, which fails with 'not-found' when it is read.
   * @param {string} name of the entry
   * @returns {ReadableStream<Uint8Array>}
   * @throws {HalfspaceError} 'bad-argument': the name
   */
  stream(name) {
    checkName(name);
    return streamOf(() => this.open(name));
  }

  /** What it holds. @returns {Promise<({name: string} & Entry)[]>} by name @throws {HalfspaceError} 'io' */
  async list() {
    const entries = [...(await this.#entries())].map(([name, entry]) => ({ name, ...entry }));
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Forgets a name; its bytes go when nobody reads them.
   * @param {string} name of the entry
   * @returns {Promise<boolean>} false: there was none
   * @throws {HalfspaceError} 'io'; 'bad-argument': the name
   */
  async delete(name) {
    checkName(name);
    return this.#backend.exclusive(() => this.#backend.remove(name));
  }

  /** Bytes of all entries. @returns {Promise<number>} @throws {HalfspaceError} 'io' */
  async bytes() {
    return sum(await this.#entries());
  }

  /**
   * Deletes what was not used for longest until the entries have no more bytes than this.
   * @param {number} bytes 0 or more
   * @returns {Promise<string[]>} what was deleted
   * @throws {HalfspaceError} 'io'; 'bad-argument': bytes
   */
  async evict(bytes) {
    if (!(bytes >= 0)) throw badArgument('bytes', 'must be a count', bytes, 0);
    return this.#backend.exclusive(() => this.#evict(bytes, MAX_ENTRIES));
  }

  /** Whether entries stay until they are deleted. A page asks the browser for it; a worker cannot ask, and tells what was granted. @returns {Promise<boolean>} @throws {HalfspaceError} 'io' */
  async persist() {
    return this.#backend.persist();
  }

  #entries() {
    return this.#backend.exclusive(() => this.#backend.entries());
  }

  /**
   * @param {number} maxBytes
   * @param {number} maxEntries
   * @param {string} [except] neither counted nor evicted
   */
  async #evict(maxBytes, maxEntries, except) {
    const entries = await this.#backend.entries();
    if (except !== undefined) entries.delete(except);
    const evicted = [];
    let bytes = sum(entries);
    for (const [name, entry] of [...entries].sort(([, a], [, b]) => a.used - b.used)) {
      if (bytes <= maxBytes && entries.size - evicted.length <= maxEntries) break;
      await this.#backend.remove(name);
      bytes -= entry.bytes;
      evicted.push(name);
    }
    return evicted;
  }

  /** @param {string} name @param {number} bytes @param {number} before of the same put */
  #reserve(name, bytes, before) {
    const alone = before + bytes > this.maxBytes;
    if (alone || this.#drafted + bytes > this.maxBytes)
      throw new HalfspaceError('quota', `${name}: ${alone ? 'it has' : 'puts in progress have'} more than ${this.maxBytes} bytes`, {
        field: 'maxBytes',
        value: alone ? before + bytes : this.#drafted + bytes,
        limit: this.maxBytes,
      });
    this.#drafted += bytes;
  }
}

/** @param {unknown} name */
export const isName = (name) => typeof name === 'string' && NAME.test(name);

/** @param {string} name */
function checkName(name) {
  if (!isName(name))
    throw badArgument('name', `must be 1..${MAX_NAME} of a-z 0-9 . _ - between letters or digits, and no device`, name, MAX_NAME);
}

/** @param {Map<string, Entry>} entries */
const sum = (entries) => [...entries.values()].reduce((bytes, entry) => bytes + entry.bytes, 0);

/** @param {string} name */
export const notFound = (name) => new HalfspaceError('not-found', `the store has no ${name}`, { field: 'name', value: name });

/**
 * Runs one after the other.
 * @returns {Backend['exclusive']}
 */
export function oneAtATime() {
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();
  return (run) => {
    const result = last.then(run);
    last = result.catch(() => {});
    return result;
  };
}

/** Times that grow with every call. */
export function createClock() {
  let last = 0;
  return () => (last = Math.max(Date.now(), last + 1));
}
