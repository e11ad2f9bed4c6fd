/**
 * What went wrong, to branch on.
 * @typedef {'bad-argument' | 'bad-file' | 'unsupported' | 'out-of-memory' | 'context-full' | 'aborted' | 'io' | 'checksum'
 *   | 'closed' | 'no-simd' | 'quota' | 'not-found' | 'bad-chunk' | 'worker-lost'} ErrorCode
 */

/** Messages are one line of text, whatever names of a file they quote. */
const MESSAGE_UNITS = 1000;

/** @param {string} message */
const oneLine = (message) =>
  // eslint-disable-next-line no-control-regex -- these are what a terminal would obey
  message.slice(0, MESSAGE_UNITS).replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]/g, '\ufffd');

/** Every error Halfspace throws: a code to branch on, one readable line, and what exactly was wrong. */
export class HalfspaceError extends Error {
  /**
   * An error of a code.
   * @param {ErrorCode} code what went wrong
   * @param {string} message one line
   * @param {{field?: string, value?: unknown, limit?: unknown, cause?: unknown}} [details] field: the argument, option or
   *   file key at fault; value: what it was; limit: what is allowed; cause: the error behind this one
   */
  constructor(code, message, { field, value, limit, cause } = {}) {
    super(oneLine(message), cause === undefined ? undefined : { cause });
    this.name = 'HalfspaceError';
    /** What went wrong, to branch on. */
    this.code = code;
    /** The argument, option or file key at fault, where there is one. */
    this.field = field;
    /** What it was. */
    this.value = value;
    /** What is allowed: the least or greatest value, or the names. */
    this.limit = limit;
  }
}

/** Of a snapshot that is damaged, or not in order: which record of the file, and where it starts. */
export class ChunkError extends HalfspaceError {
  /**
   * An error of code 'bad-chunk'.
   * @param {string} message what is wrong with the record
   * @param {{chunk: number, offset: number, field: string, value?: unknown, limit?: unknown, cause?: unknown}} details chunk:
   *   number of the record, the header's is 0; offset: of its first byte in the file; field, value: what was wrong
   *   in it; limit: what was expected; cause: the error behind this one
   */
  constructor(message, { chunk, offset, ...details }) {
    super('bad-chunk', `snapshot, record ${chunk} at byte ${offset}: ${message}`, details);
    /** Number of the record; the header's is 0. */
    this.chunk = chunk;
    /** Of its first byte in the file. */
    this.offset = offset;
  }
}

/**
 * @param {string} field
 * @param {string} must what it must be, to be read after its name
 * @param {unknown} value
 * @param {unknown} limit
 */
export function badArgument(field, must, value, limit) {
  return new HalfspaceError('bad-argument', `${field} ${must}`, { field, value, limit });
}
