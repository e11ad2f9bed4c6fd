/** Files behind URLs: ranges of them, or what a server without ranges sends, taken up again where a connection breaks off. */
import { throwIfAborted } from '../abort.js';
import { HalfspaceError } from '../errors.js';

/** A dropped connection is taken up again where it broke off, this many times in a row without a new byte. */
const MAX_RETRIES = 5;
/** Before the first retry; doubled before each further one. */
const RETRY_PAUSE_MS = 100;

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
 * @param {import('./sources.js').Fetch} [fetch]
 * @returns {Promise<Remote & Pick<import('./sources.js').ByteSource, 'stream' | 'close'>>} stream does not check its range
 */
export async function openHttp(url, openSignal, fetch) {
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

  /** @type {import('./sources.js').ByteSource['stream']} */
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
  return { ...first.remote, stream, close };
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
 * @param {import('./sources.js').Fetch} [fetch]
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
 * @param {{url: string, fetch?: import('./sources.js').Fetch}} file
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
