/** Errors as OpenAI's clients expect them. */
import { HalfspaceError } from '../errors.js';

export class ApiError extends Error {
  /**
   * @param {number} status HTTP status
   * @param {string} message
   * @param {{type?: string, param?: string | null, code?: string | null, headers?: Record<string, string>}} [details]
   */
  constructor(status, message, { type = 'invalid_request_error', param = null, code = null, headers = {} } = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
    this.body = { error: { message, type, param, code } };
  }
}

/** What the core's errors are to a client. @type {Partial<Record<import('../errors.js').ErrorCode, [number, string]>>} */
const REFUSED = {
  'bad-argument': [400, 'invalid_value'],
  'context-full': [400, 'context_length_exceeded'],
  // Nothing else is held by then: the request does not fit, now or later.
  'out-of-memory': [400, 'out_of_memory'],
  unsupported: [400, 'unsupported_value'],
};

/** @param {unknown} error anything that was thrown while a request was answered */
export function toApiError(error) {
  if (error instanceof ApiError) return error;
  if (error instanceof HalfspaceError) {
    const refused = REFUSED[error.code];
    if (refused) return new ApiError(refused[0], error.message, { param: error.field, code: refused[1] });
  }
  return new ApiError(500, 'internal error', { type: 'server_error', code: 'internal_error' });
}

export const shuttingDown = () =>
  new ApiError(503, 'the server is shutting down', { type: 'server_error', code: 'shutting_down', headers: { connection: 'close' } });
