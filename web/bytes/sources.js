/** Where bytes come from: a path, a URL, a File, or memory, behind one interface of ranges and streams. */
import { builtin, inNode } from '../core/runtime.js';
import { HalfspaceError } from '../errors.js';

/** A dropped connection is taken up again where it broke off, this many times in a row without a new byte. */
const MAX_RETRIES = 5;
/** Before the first retry; doubled before each further one. */
const RETRY_PAUSE_MS = 100;
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

/** @param {AbortSignal | undefined} signal */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw new HalfspaceError('aborted', 'aborted by the caller', { cause: signal.reason });
}

/**
 * Waits no longer once a signal aborts: what is waited for may never come.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function orAborted(promise, signal) {
  if (!signal) return promise;
  /** @type {() => void} */
  let stop = () => {};
  const aborted = new Promise((resolve) => {
    stop = () => resolve(undefined);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
  });
  try {
    await Promise.race([promise, aborted]);
    throwIfAborted(signal);
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

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

/**
 * A response being read.
 * @typedef {object} Connection
 * @property {Remote} remote
 * @property {ReadableStreamDefaultReader<Uint8Array>} reader
 * @property {Uint8Array} rest received and not yet given out
 * @property {number} at offset of `rest` in the file; Infinity while more is awaited, and so after a failure
 *
 * What the first response said. Later ones must say the same: a changed file is refused, never mixed.
 * @typedef {object} Remote
 * @property {number} status 206, or 200 of a server without ranges
 * @property {number} size
 * @property {string | null} etag
 */

/**
 * @param {string} url
 * @param {AbortSignal | undefined} openSignal
 * @param {Fetch} [fetch]
 */
async function httpSource(url, openSignal, fetch) {
  const first = await request({ url, fetch }, 0, 1, openSignal);
  const ranges = first.remote.status === 206;
  if (ranges) await discard(first);
  /** A server without ranges sends the whole file: one response is kept and read onward from call to call. */
  let kept = ranges ? undefined : first;

  /** @param {number} offset @param {number} end @param {AbortSignal | undefined} signal */
  async function connect(offset, end, signal) {
    if (kept && kept.at <= offset) return kept;
    if (kept) await discard(kept);
    const connection = await request({ url, fetch }, offset, end - offset, signal, first.remote);
    if (!ranges) kept = connection;
    return connection;
  }

  /** @type {ByteSource['stream']} */
  async function* stream(offset, length, { signal } = {}) {
    const end = offset + length;
    let at = offset;
    for (let failures = 0; at < end;) {
      let cause;
      try {
        const connection = await connect(at, end, signal);
        try {
          for await (const piece of pieces(connection, at, end, signal)) {
            at += piece.length;
            failures = 0;
            yield piece;
          }
        } finally {
          if (ranges) await discard(connection);
        }
      } catch (error) {
        if (error instanceof HalfspaceError && error.field !== 'connection') throw error;
        cause = error;
      }
      throwIfAborted(signal);
      if (at === end) return;
      if (failures === MAX_RETRIES) {
        throw new HalfspaceError('io', `${url}: connection lost at byte ${at}, ${MAX_RETRIES} retries failed`, {
          field: 'offset',
          value: at,
          limit: MAX_RETRIES,
          cause,
        });
      }
      await pause(RETRY_PAUSE_MS * 2 ** failures++, signal);
    }
  }
  const close = async () => {
    if (kept) await discard(kept);
  };
  return { ...fromStream(url, first.remote.size, stream, close), etag: first.remote.etag };
}

/**
 * The bytes of a response from `offset` to `end`, as far as they come: what lies before is skipped, what lies behind kept.
 * @param {Connection} connection
 * @param {number} offset
 * @param {number} end
 * @param {AbortSignal | undefined} signal
 */
async function* pieces(connection, offset, end, signal) {
  // The response may have been asked for under another signal than this one.
  const stop = () => void discard(connection);
  signal?.addEventListener('abort', stop);
  try {
    // Between two pieces another reader may have taken a kept response further.
    for (let next = offset; next < end && connection.at <= next;) {
      if (connection.rest.length === 0) {
        const { at } = connection;
        connection.at = Infinity;
        const { done, value } = await connection.reader.read();
        if (done) return;
        connection.at = at;
        connection.rest = value;
      }
      const skipped = Math.min(next - connection.at, connection.rest.length);
      const piece = connection.rest.subarray(skipped, skipped + end - next);
      connection.rest = connection.rest.subarray(skipped + piece.length);
      connection.at += skipped + piece.length;
      next += piece.length;
      if (piece.length > 0) yield piece;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/**
 * Ends a response; one that already failed is no failure.
 * @param {Connection} connection
 */
const discard = (connection) => connection.reader.cancel().catch(() => {});

/**
 * @param {number} ms
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
async function pause(ms, signal) {
  await new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve(undefined);
    }
    signal?.addEventListener('abort', end);
  });
  throwIfAborted(signal);
}

/**
 * fetch() whose failure to connect is a HalfspaceError with field 'connection'.
 * @param {string | URL} url
 * @param {RequestInit} init
 * @param {Fetch} [fetch]
 */
export async function fetchOrFail(url, init, fetch = globalThis.fetch) {
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
 * @param {{url: string, fetch?: Fetch}} file
 * @param {number} offset
 * @param {number} length
 * @param {AbortSignal | undefined} signal
 * @param {Remote} [known] what the first response said
 * @returns {Promise<Connection>}
 */
async function request({ url, fetch }, offset, length, signal, known) {
  const response = await fetchOrFail(url, { headers: { range: `bytes=${offset}-${offset + length - 1}` }, signal }, fetch);
  try {
    // Of a range that is everything a server may make none.
    const whole = known !== undefined && offset === 0 && length === known.size && response.status === 200;
    const remote = remoteOf(url, response, offset, whole ? { ...known, status: 200 } : known);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    return { remote, reader, rest: new Uint8Array(), at: remote.status === 206 ? offset : 0 };
  } catch (error) {
    await response.body?.cancel();
    throw error;
  }
}

/**
 * @param {string} url
 * @param {Response} response
 * @param {number} offset asked for
 * @param {Remote} [known]
 * @returns {Remote}
 */
function remoteOf(url, { status, headers }, offset, known) {
  /** @param {string} message @param {string} field @param {unknown} value @param {unknown} [limit] */
  const fail = (message, field, value, limit) => new HalfspaceError('io', `${url}: ${message}`, { field, value, limit });
  if (known ? status !== known.status : status !== 206 && status !== 200)
    throw fail(`status ${status} for a range request`, 'status', status, known?.status ?? 206);
  const etag = headers.get('etag');
  if (known?.etag && etag !== known.etag) throw fail('the file changed while it was read', 'etag', etag, known.etag);
  const field = status === 206 ? 'content-range' : 'content-length';
  const stated = headers.get(field) ?? '';
  const pattern = status === 206 ? new RegExp(`^bytes ${offset}-\\d+/(\\d+)$`) : /^(\d+)$/;
  // The length of an encoded body is not the length of what fetch() makes of it.
  const encoded = status === 200 && headers.has('content-encoding');
  const size = Number(encoded ? NaN : pattern.exec(stated)?.[1]);
  if (!Number.isSafeInteger(size)) throw fail("the server does not tell the file's size, or sends other bytes than asked", field, stated);
  if (known && size !== known.size) throw fail('the file changed its size while it was read', field, size, known.size);
  return { status, size, etag };
}
