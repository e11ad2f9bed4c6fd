/** What a snapshot says of itself, and whether it is whole, without the model. */
import { sharedWasm } from '../core/shared.js';
import { readHeader, readSnapshots } from './resume.js';

/**
 * @typedef {import('./pieces.js').SnapshotSource} SnapshotSource
 */

/**
 * The header alone: nothing behind it is read, or checked.
 * @param {SnapshotSource} source of its bytes; what is open is closed
 * @param {{signal?: AbortSignal, wasm?: import('../attention/core.js').LoadOptions}} [options] signal: ends it; wasm: the instance,
 *   as of KvCache
 * @returns {Promise<import('./format.js').Header>}
 * @throws {import('../errors.js').HalfspaceError} bad-file: no snapshot; bad-chunk: the header is damaged (ChunkError); unsupported: another
 *   version; io; aborted
 */
export async function inspectSnapshot(source, { signal, wasm } = {}) {
  return readHeader(await sharedWasm(wasm), source, signal);
}

/**
 * Reads all of a snapshot, or of several of which each adds to the one before, and checks every checksum and place.
 * @param {SnapshotSource | SnapshotSource[]} source one, or several in order, at most 1024
 * @param {import('./resume.js').ReadOptions & {wasm?: import('../attention/core.js').LoadOptions}} [options] signal: ends it; onProgress:
 *   called with bytes read, and all where that is known; wasm: the instance, as of KvCache
 * @returns {Promise<{info: import('./reader.js').SnapshotInfo, tokens: number[]}>} of the last one
 * @throws {import('../errors.js').HalfspaceError} bad-chunk (ChunkError), bad-file, unsupported, io, aborted; bad-argument: it adds to another one
 */
export async function verifySnapshot(source, { wasm, ...options } = {}) {
  return readSnapshots(await sharedWasm(wasm), source, () => ({}), options);
}
