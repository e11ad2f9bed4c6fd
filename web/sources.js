/** Where bytes come from: a path, a URL, a File, or memory, behind one interface of ranges and streams. */
import { HalfspaceError } from './errors.js';

/** A dropped connection is taken up again where it broke off, this many times in a row without a new byte. */
const MAX_RETRIES = 5;
const FILE_CHUNK_BYTES = 1 << 20;

/**
 * @typedef {object} ByteSource
 * @property {string} name
 * @property {number} size bytes
 * @property {(offset: number, length: number, options?: {signal?: AbortSignal}) => Promise<Uint8Array>} read exactly these bytes
 * @property {(offset: number, length: number, options?: {signal?: AbortSignal}) => AsyncIterable<Uint8Array>} stream the same in pieces
 * @property {() => Promise<void>} close
 */

/** @param {AbortSignal | undefined} signal */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw new HalfspaceError('aborted', 'aborted by the caller', { cause: signal.reason });
}

/**
 * @param {string | URL | Blob | Uint8Array | ArrayBuffer} source
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<ByteSource>}
 */
export async function openSource(source, { signal } = {}) {
  throwIfAborted(signal);
  if (source instanceof ArrayBuffer) return blobSource(new Blob([source]), 'memory');
  if (source instanceof Uint8Array) return blobSource(new Blob([/** @type {BlobPart} */ (source)]), 'memory');
  if (source instanceof Blob) return blobSource(source, 'name' in source ? String(source.name) : 'blob');
  if (source instanceof URL || (typeof source === 'string' && /^https?:/.test(source))) return httpSource(String(source), signal);
  if (typeof source === 'string' && source !== '') return fileSource(source);
  throw new HalfspaceError('bad-argument', 'source must be a path, a URL, a File or bytes', { field: 'source', value: source });
}

/**
 * Adds `read` to a source that streams, and checks the range.
 * @param {string} name
 * @param {number} size
 * @param {ByteSource['stream']} stream
 * @param {() => Promise<void>} [close]
 * @returns {ByteSource}
 */
function fromStream(name, size, stream, close = async () => {}) {
  /** @type {ByteSource['stream']} */
  async function* checked(offset, length, options = {}) {
    if (offset < 0 || length < 0 || offset + length > size) {
      throw new HalfspaceError('bad-file', `${name}: bytes ${offset}..${offset + length} asked, the file has ${size}`, {
        field: 'size',
        value: offset + length,
        limit: size,
      });
    }
    let left = length;
    for await (const piece of stream(offset, length, options)) {
      throwIfAborted(options.signal);
      left -= piece.length;
      yield piece;
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
  return fromStream(name, blob.size, async function* (offset, length) {
    for (let at = offset; at < offset + length; at += FILE_CHUNK_BYTES) {
      yield new Uint8Array(await blob.slice(at, Math.min(at + FILE_CHUNK_BYTES, offset + length)).arrayBuffer());
    }
  });
}

/** @param {string} path */
async function fileSource(path) {
  const { open } = await import('node:fs/promises');
  /** @type {import('node:fs/promises').FileHandle} */
  let file;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw new HalfspaceError('io', `cannot open ${path}: ${/** @type {Error} */ (cause).message}`, { field: 'path', value: path, cause });
  }
  const { size } = await file.stat();
  return fromStream(
    path,
    size,
    async function* (offset, length) {
      const buffer = new Uint8Array(Math.min(FILE_CHUNK_BYTES, length));
      for (let at = offset; at < offset + length;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, offset + length - at), at);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
    () => file.close(),
  );
}

/**
 * @param {string} url
 * @param {AbortSignal | undefined} signal
 */
async function httpSource(url, signal) {
  const head = await request(url, 0, 1, undefined, signal);
  const total = Number(head.headers.get('content-range')?.split('/')[1]);
  await head.body?.cancel();
  if (!Number.isSafeInteger(total))
    throw new HalfspaceError('io', `${url}: the server does not tell the file's size`, {
      field: 'content-range',
      value: head.headers.get('content-range'),
    });
  const etag = head.headers.get('etag') ?? undefined;
  return fromStream(url, total, async function* (offset, length, options = {}) {
    let at = offset;
    for (let failures = 0; at < offset + length;) {
      try {
        const response = await request(url, at, offset + length - at, etag, options.signal);
        const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          at += value.length;
          failures = 0;
          yield value;
        }
        if (at < offset + length) failures++;
      } catch (error) {
        throwIfAborted(options.signal);
        if (error instanceof HalfspaceError && error.field !== 'connection') throw error;
        failures++;
      }
      if (failures > MAX_RETRIES) {
        throw new HalfspaceError('io', `${url}: connection lost at byte ${at}, ${MAX_RETRIES} retries failed`, {
          field: 'offset',
          value: at,
          limit: MAX_RETRIES,
        });
      }
    }
  });
}

/**
 * fetch() whose failure to connect is a HalfspaceError with field 'connection'.
 * @param {string | URL} url
 * @param {RequestInit} init
 */
export async function fetchOrFail(url, init) {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throwIfAborted(init.signal ?? undefined);
    throw new HalfspaceError('io', `cannot reach ${url}: ${/** @type {Error} */ (cause).message}`, {
      field: 'connection',
      value: String(url),
      cause,
    });
  }
}

/**
 * @param {string} url
 * @param {number} offset
 * @param {number} length
 * @param {string | undefined} etag of the file as first seen: a changed file is refused, never mixed
 * @param {AbortSignal | undefined} signal
 */
async function request(url, offset, length, etag, signal) {
  const response = await fetchOrFail(url, { headers: { range: `bytes=${offset}-${offset + length - 1}` }, signal });
  if (response.status !== 206) {
    await response.body?.cancel();
    throw new HalfspaceError('io', `${url}: status ${response.status} for a range request, 206 expected`, {
      field: 'status',
      value: response.status,
      limit: 206,
    });
  }
  if (etag && response.headers.get('etag') !== etag) {
    await response.body?.cancel();
    throw new HalfspaceError('io', `${url}: the file changed while it was read`, {
      field: 'etag',
      value: response.headers.get('etag'),
      limit: etag,
    });
  }
  return response;
}
