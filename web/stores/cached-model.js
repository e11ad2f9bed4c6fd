/**
 * Models kept in a store, in parts: a download that breaks goes on with the part it was at, and nothing is ever stored twice. A record tells of
 * which version of the file the parts are; parts of different versions have different names.
 */
import { throwIfAborted } from '../abort.js';
import { assertSha256, checkSha256, createSha256, sha256OfText } from '../bytes/sha256.js';
import { fromStream, openSource } from '../bytes/sources.js';
import { checkInteger } from '../checks.js';
import { HalfspaceError } from '../errors.js';
import { MAX_ENTRIES, oneAtATime } from './store.js';

const FORMAT = 1;
const PART_BYTES = 16 << 20;
/** A record is smaller. */
const RECORD_BYTES = 16 << 10;
/** A file that changes again and again while it is read is given up. */
const MAX_RESTARTS = 3;

/**
 * @typedef {object} CacheOptions what cachedModel() takes
 * @property {import('./store.js').Store} store where the model is kept, in parts
 * @property {string} [sha256] what the file must have, in hexadecimal; another file in the store is fetched anew
 * @property {AbortSignal} [signal] ends it with 'aborted'
 * @property {(bytes: number, total: number) => void} [onProgress] bytes that are there, stored before or not
 * @property {number} [partBytes] bytes of each part that is stored, 1..2^30, default 16 MiB
 *
 * @typedef {object} Version what the parts in the store belong to
 * @property {number} format
 * @property {string} url
 * @property {number} size
 * @property {string | null} etag a strong one
 * @property {number} partBytes
 * @property {string} id in the names of the parts
 * @property {string} [sha256] of all parts: they are all there
 */

/**
 * A model by URL: from the store, without the network, when it was fetched before; else fetched into it. Resumes what an earlier call
 * left where the server's strong ETag is the same, or where the SHA-256 is known and will tell.
 * @param {string | URL} url of the GGUF file
 * @param {CacheOptions} options the store, and what the file must have
 * @returns {Promise<import('../bytes/sources.js').ByteSource>} for Engine.load(); to be closed
 * @throws {HalfspaceError} 'checksum', 'quota', 'io', 'aborted'; complete parts stay for the next call, but for 'checksum';
 *   'bad-argument': sha256 or partBytes
 */
export async function cachedModel(url, options) {
  checkSha256(options.sha256);
  const model = new CachedModel(String(url), options);
  return alone(model, async () => (await model.stored()) ?? model.fetch());
}

class CachedModel {
  /** @param {string} url @param {CacheOptions} options */
  constructor(url, { store, sha256, signal, onProgress, partBytes = PART_BYTES }) {
    this.url = url;
    this.store = store;
    this.expected = sha256;
    this.signal = signal;
    this.onProgress = onProgress;
    this.partBytes = checkInteger('partBytes', partBytes, 1, 2 ** 30);
    this.name = `model-${sha256OfText(url).slice(0, 32)}`;
  }

  async stored() {
    const version = await this.#record();
    if (version?.sha256 === undefined || (this.expected !== undefined && version.sha256 !== this.expected)) return undefined;
    return this.#openAll(version);
  }

  async fetch() {
    for (let restarts = 0; ; restarts++) {
      const remote = await openSource(this.url, { signal: this.signal });
      const parts = { resumed: false };
      try {
        return await this.#fill(remote, await this.#version(remote), parts);
      } catch (error) {
        const wrong = error instanceof HalfspaceError && error.code === 'checksum';
        if (wrong) await this.#forget();
        if (restarts === MAX_RESTARTS || !(wrong ? parts.resumed : isChange(error))) throw error;
      } finally {
        await remote.close();
      }
    }
  }

  /**
   * Fetches the parts that are missing.
   * @param {import('../bytes/sources.js').ByteSource} remote
   * @param {Version} version
   * @param {{resumed: boolean}} parts
   */
  async #fill(remote, version, parts) {
    const hash = createSha256();
    let done = 0;
    const count = (/** @type {Uint8Array} */ piece) => {
      hash.update(piece);
      done += piece.length;
      this.onProgress?.(done, version.size);
    };
    for (const { name, offset, length } of partsOf(this.name, version)) {
      const part = await this.#openPart(name, length);
      if (part) {
        parts.resumed = true;
        await readThrough(part, count, this.signal);
      } else {
        await this.store.put(name, counted(remote.stream(offset, length, { signal: this.signal }), count), { signal: this.signal });
      }
    }
    const sha256 = hash.hex();
    assertSha256(this.url, sha256, this.expected);
    await this.#putRecord({ ...version, sha256 });
    const source = await this.#openAll(version);
    if (!source) throw new HalfspaceError('quota', `${this.url}: evicted while it was fetched`, { field: 'store', value: version.size });
    return source;
  }

  /**
   * The version that is fetched: the one whose parts are in the store, if the server still has it, or one without parts.
   * @param {import('../bytes/sources.js').ByteSource} remote
   * @returns {Promise<Version>}
   */
  async #version({ size, etag }) {
    const { url, partBytes, store } = this;
    const record = await this.#record();
    const strong = etag && !etag.startsWith('W/') ? etag : null;
    const known = record?.size === size && record.partBytes === partBytes;
    if (known && isSame(record, strong, this.expected)) return record;
    const limit = Math.min(store.maxBytes - RECORD_BYTES, (MAX_ENTRIES - 1) * partBytes);
    if (size > limit)
      throw new HalfspaceError('quota', `${url} has ${size} bytes, the store takes ${limit}`, { field: 'maxBytes', value: size, limit });
    await this.#forget();
    const version = { format: FORMAT, url, size, etag: strong, partBytes, id: crypto.randomUUID().slice(0, 8) };
    await this.#putRecord(version);
    return version;
  }

  /** @returns {Promise<Version | undefined>} */
  async #record() {
    const source = await this.store.open(this.name).catch(unlessNotFound);
    if (!source) return undefined;
    try {
      const record = JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
      return record.format === FORMAT && record.url === this.url ? record : undefined;
    } finally {
      await source.close();
    }
  }

  /** @param {Version} version */
  async #putRecord(version) {
    await this.store.put(this.name, new TextEncoder().encode(JSON.stringify(version)), { signal: this.signal });
  }

  /** Deletes the record and all parts of any version. */
  async #forget() {
    for (const { name } of await this.store.list()) if (name.startsWith(this.name)) await this.store.delete(name);
  }

  /** @param {string} name @param {number} length */
  async #openPart(name, length) {
    const part = await this.store.open(name).catch(unlessNotFound);
    if (part === undefined || part.size === length) return part;
    await part.close();
    return undefined;
  }

  /**
   * All parts as one source; undefined when one is missing.
   * @param {Version} version
   */
  async #openAll(version) {
    /** @type {import('../bytes/sources.js').ByteSource[]} */
    const sources = [];
    const close = async () => {
      for (const source of sources) await source.close();
    };
    try {
      for (const { name, length } of partsOf(this.name, version)) {
        const part = await this.#openPart(name, length);
        if (!part) {
          await close();
          return undefined;
        }
        sources.push(part);
      }
    } catch (error) {
      await close();
      throw error;
    }
    return joined(this.url, version, sources, close);
  }
}

/**
 * @param {string} url
 * @param {Version} version
 * @param {import('../bytes/sources.js').ByteSource[]} sources
 * @param {() => Promise<void>} close
 */
function joined(url, { size, partBytes }, sources, close) {
  /** @type {import('../bytes/sources.js').ByteSource['stream']} */
  async function* stream(offset, length, options) {
    for (let at = offset; at < offset + length;) {
      const start = at % partBytes;
      const wanted = Math.min(partBytes - start, offset + length - at);
      yield* sources[Math.floor(at / partBytes)].stream(start, wanted, options);
      at += wanted;
    }
  }
  const blobs = sources.flatMap(({ blob }) => blob ?? []);
  const blob = () => new Blob(blobs.map((part) => part()));
  return { ...fromStream(url, size, stream, close), ...(blobs.length === sources.length && { blob }) };
}

/**
 * @param {string} name
 * @param {Version} version
 */
function* partsOf(name, { id, size, partBytes }) {
  for (let index = 0, offset = 0; offset < size; index++, offset += partBytes)
    yield { name: `${name}.${id}.${index}`, offset, length: Math.min(partBytes, size - offset) };
}

/**
 * Whether parts of a version go with what the server has now, as far as can be known before they are hashed.
 * @param {Version} version
 * @param {string | null} etag
 * @param {string | undefined} expected
 */
function isSame(version, etag, expected) {
  if (version.sha256 !== undefined && expected !== undefined && version.sha256 !== expected) return false;
  if (version.etag !== null && etag !== null) return version.etag === etag;
  return expected !== undefined;
}

/**
 * Whether the server has another file than at the beginning.
 * @param {unknown} error
 */
function isChange(error) {
  if (!(error instanceof HalfspaceError && error.code === 'io')) return false;
  return ['etag', 'content-range', 'content-length'].includes(String(error.field)) || (error.field === 'status' && error.value === 416);
}

/**
 * @param {AsyncIterable<Uint8Array>} pieces
 * @param {(piece: Uint8Array) => void} count
 */
async function* counted(pieces, count) {
  for await (const piece of pieces) {
    count(piece);
    yield piece;
  }
}

/**
 * @param {import('../bytes/sources.js').ByteSource} source closed at the end
 * @param {(piece: Uint8Array) => void} onPiece
 * @param {AbortSignal | undefined} signal
 */
async function readThrough(source, onPiece, signal) {
  try {
    for await (const piece of source.stream(0, source.size, { signal })) onPiece(piece);
  } finally {
    await source.close();
  }
}

/** @param {unknown} error */
function unlessNotFound(error) {
  if (!(error instanceof HalfspaceError && error.code === 'not-found')) throw error;
  return undefined;
}

/** Where there are no web locks. @type {WeakMap<import('./store.js').Store, import('./store.js').Backend['exclusive']>} */
const queues = new WeakMap();

/**
 * One fetch of a model at a time, in all tabs: the next finds it in the store. Without web locks, one fetch of a store.
 * @template T
 * @param {CachedModel} model
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
async function alone({ name, store, signal }, run) {
  throwIfAborted(signal);
  const { locks } = globalThis.navigator ?? {};
  if (locks) {
    const options = signal ? { signal } : {};
    return locks.request(`halfspace-fetch/${name}`, options, run).catch((error) => {
      throwIfAborted(signal);
      throw error;
    });
  }
  const queue = queues.get(store) ?? oneAtATime();
  queues.set(store, queue);
  return queue(() => {
    throwIfAborted(signal);
    return run();
  });
}
