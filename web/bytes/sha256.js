/** SHA-256 by the platform. */
import { HalfspaceError } from '../errors.js';

/** Pages have it where the context is secure: https, or localhost. */
export const hasSha256 = () => globalThis.crypto?.subtle !== undefined;

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<string>} in hex
 * @throws {HalfspaceError} unsupported: the page's context is not secure
 */
export async function sha256(bytes) {
  if (!hasSha256())
    throw new HalfspaceError('unsupported', 'SHA-256 needs a secure context: https, or localhost', { field: 'crypto.subtle' });
  const digest = await crypto.subtle.digest('SHA-256', /** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  return hex(new Uint8Array(digest));
}

/** @param {Uint8Array} bytes */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
