/**
 * @typedef {'bad-argument' | 'bad-file' | 'unsupported' | 'out-of-memory' | 'context-full' | 'aborted' | 'io' | 'checksum'
 *   | 'closed' | 'no-simd' | 'worker-lost'} ErrorCode
 */

/** Every error Halfspace throws: a code to branch on, one readable line, and what exactly was wrong. */
export class HalfspaceError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message one line
   * @param {{field?: string, value?: unknown, limit?: unknown, cause?: unknown}} [details] field: the argument, option or
   *   file key at fault; value: what it was; limit: what is allowed
   */
  constructor(code, message, { field, value, limit, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HalfspaceError';
    this.code = code;
    this.field = field;
    this.value = value;
    this.limit = limit;
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
