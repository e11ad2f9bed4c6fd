/** Where bytes come from: a path, a URL, a File, or memory, behind one interface of ranges and streams. */
import { orAborted, throwIfAborted } from '../abort.js';
import { HalfspaceError } from '../errors.js';
import { builtin, inNode } from '../runtime.js';
import { openHttp } from './http.js';

const FILE_CHUNK_BYTES = 1 << 20;

/**
 * @typedef {(url: string | URL, init?: RequestInit) => Promise<Response>} Fetch as the global one, for example of a binding
 *
 * @typedef {object} ByteSource bytes that are open for reading
 * @property {string} name for messages
 * @property {number} size bytes
 * @property {(offset: number, length: number, options?: {signal?: AbortSignal}) => Promise<Uint8Array>} read exactly these bytes
 * @property {(offset: number, length: number, options?: {signal?: AbortSignal}) => AsyncIterable<Uint8Array>} stream the same in pieces,
 *   each valid until the next is asked for
 * @property {() => Promise<void>} close lets it go
 * @property {() => Blob} [blob] all of it, where it is on hand: a blob goes to a worker as a reference
 * @property {string | null} [etag] of a URL, where the server tells one
 */

/** @typedef {string | URL | Blob | Uint8Array | ArrayBuffer | ByteSource} Source what openSource() takes */

/**
 * @param {Source} source one that is open already is given back: whoever takes it in closes it
 * @param {{signal?: AbortSignal, fetch?: Fetch}} [options] fetch: what URLs are read with, default the global one
 * @returns {Promise<ByteSource>}
 */
export async function openSource(source, { signal, fetch } = {}) {
  throwIfAborted(signal);
  if (isByteSource(source)) return source;
  if (source instanceof ArrayBuffer) return blobSource(new Blob([source]), 'memory');
  if (source instanceof Uint8Array) return blobSource(new Blob([/** @type {BlobPart} */ (source)]), 'memory');
  if (source instanceof Blob) return blobSource(source, 'name' in source ? String(source.name) : 'blob');
  if (source instanceof URL || (typeof source === 'string' && /^https?:/.test(source))) return httpSource(String(source), signal, fetch);
  if (typeof source === 'string' && source !== '') return fileSource(source);
  throw new HalfspaceError('bad-argument', 'source must be a path, a URL, a File or bytes', { field: 'source', value: source });
}

/**
 * @param {unknown} source
 * @returns {source is ByteSource}
 */
export const isByteSource = (source) =>
  typeof source === 'object' && source !== null && 'size' in source && 'read' in source && 'stream' in source && 'close' in source;

/**
 * Adds `read` to a source that streams, and checks the range.
 * @param {string} name
 * @param {number} size
 * @param {ByteSource['stream']} stream
 * @param {() => Promise<void>} [close]
 * @returns {ByteSource}
 */
export function fromStream(name, size, stream, close = async () => {}) {
  /** @type {ByteSource['stream']} */
  async function* checked(offset, length, options = {}) {
    if (offset < 0 || length < 0 || offset + length > size) {
      throw new HalfspaceError('bad-file', `${name}: bytes ${offset}..${offset + length} asked, the file has ${size}`, {
        field: 'size',
        value: offset + length,
        limit: size,
      });
    }
    const { signal } = options;
    const pieces = stream(offset, length, options)[Symbol.asyncIterator]();
    let left = length;
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await orAborted(pieces.next(), signal);
        ended = done === true;
        if (ended) break;
        left -= value.length;
        yield value;
      }
    } catch (cause) {
      if (cause instanceof HalfspaceError) throw cause;
      const { message } = /** @type {Error} */ (cause);
      throw new HalfspaceError('io', `${name}: cannot read: ${message}`, { field: 'read', value: offset + length - left, cause });
    } finally {
      if (!ended) {
        const returned = pieces.return?.();
        // One that hangs would not return.
        if (signal?.aborted) returned?.catch(() => {});
        else await returned;
      }
    }
    if (left !== 0)
      throw new HalfspaceError('io', `${name}: ${left} bytes of ${length} missing`, {
        field: 'length',
        value: length - left,
        limit: length,
      });
  }
  return {
    name,
    size,
    stream: checked,
    async read(offset, length, options) {
      const bytes = new Uint8Array(length);
      let at = 0;
      for await (const piece of checked(offset, length, options)) {
        bytes.set(piece, at);
        at += piece.length;
      }
      return bytes;
    },
    close,
  };
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function blobSource(blob, name) {
  /** @type {ByteSource['stream']} */
  async function* stream(offset, length) {
    for (let at = offset; at < offset + length; at += FILE_CHUNK_BYTES) {
      yield new Uint8Array(await blob.slice(at, Math.min(at + FILE_CHUNK_BYTES, offset + length)).arrayBuffer());
    }
  }
  return { ...fromStream(name, blob.size, stream), blob: () => blob };
}

/** @param {string} path */
async function fileSource(path) {
  if (!inNode) throw new HalfspaceError('unsupported', `${path}: there are no paths here, only URLs`, { field: 'source', value: path });
  const { open } = builtin('node:fs/promises');
  /** @type {import('node:fs/promises').FileHandle} */
  let file;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw new HalfspaceError('io', `cannot open ${path}: ${/** @type {Error} */ (cause).message}`, { field: 'path', value: path, cause });
  }
  const { size } = await file.stat();
  let reading = false;
  return fromStream(
    path,
    size,
    async function* (offset, length) {
      const buffer = new Uint8Array(Math.min(FILE_CHUNK_BYTES, length));
      for (let at = offset; at < offset + length;) {
        reading = true;
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, offset + length - at), at);
        reading = false;
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
    async () => {
      const closed = file.close();
      // A read that hangs keeps the file open, and would keep whoever gave it up.
      if (reading) closed.catch(() => {});
      else await closed;
    },
  );
}

/** @param {string} url @param {AbortSignal | undefined} signal @param {Fetch} [fetch] */
async function httpSource(url, signal, fetch) {
  const { size, etag, stream, close } = await openHttp(url, signal, fetch);
  return { ...fromStream(url, size, stream, close), etag };
}
