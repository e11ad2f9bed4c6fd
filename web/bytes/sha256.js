/** SHA-256 of bytes that come in pieces, also in pages that are not secure: crypto.subtle can do neither. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

import { badArgument, HalfspaceError } from '../errors.js';

/** Several times as fast, where there is one: Node.js, Deno, Bun. */
const native = globalThis.process?.getBuiltinModule?.('node:crypto');

export function createSha256() {
  if (native) {
    const hash = native.createHash('sha256');
    return { update: (/** @type {Uint8Array} */ bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
  }
  const hash = sha256.create();
  return {
    /** @param {Uint8Array} bytes */
    update(bytes) {
      hash.update(bytes);
    },
    /** Ends it. */
    hex: () => bytesToHex(hash.digest()),
  };
}

/** @param {string} text */
export const sha256OfText = (text) => bytesToHex(sha256(utf8ToBytes(text)));

/** @param {unknown} expected */
export function checkSha256(expected) {
  if (expected !== undefined && !(typeof expected === 'string' && /^[0-9a-f]{64}$/.test(expected)))
    throw badArgument('sha256', 'must be 64 digits of 0-9 a-f', expected, 64);
}

/**
 * @param {string} name
 * @param {string} actual
 * @param {string | undefined} expected
 */
export function assertSha256(name, actual, expected) {
  if (expected !== undefined && actual !== expected)
    throw new HalfspaceError('checksum', `${name} has SHA-256 ${actual}, ${expected} expected`, {
      field: 'sha256',
      value: actual,
      limit: expected,
    });
}
