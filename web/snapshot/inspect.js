/** What a snapshot says of itself, and whether it is whole, without the model. */
import { sharedWasm } from '../core/shared.js';
import { readHeader, readSnapshots } from './resume.js';

/**
 * @typedef {import('./pieces.js').SnapshotSource} SnapshotSource
 */

/**
 * The header alone: nothing behind it is read, or checked.
 * @param {SnapshotSource} source
 * @param {{signal?: AbortSignal, wasm?: import('../attention/core.js').LoadOptions}} [options] wasm: the instance, as of KvCache
 * @returns {Promise<import('./format.js').Header>}
 * @throws {import('../errors.js').HalfspaceError}
 */
export async function inspectSnapshot(source, { signal, wasm } = {}) {
  return readHeader(await sharedWasm(wasm), source, signal);
}

/**
 * Reads all of a snapshot, or of several of which each adds to the one before, and checks every checksum and place.
 * @param {SnapshotSource | SnapshotSource[]} source
 * @param {import('./resume.js').ReadOptions & {wasm?: import('../attention/core.js').LoadOptions}} [options]
 * @returns {Promise<{info: import('./reader.js').SnapshotInfo, tokens: number[]}>} of the last one
 * @throws {import('../errors.js').HalfspaceError} bad-chunk (ChunkError), bad-file, bad-argument: it adds to another one
 */
export async function verifySnapshot(source, { wasm, ...options } = {}) {
  return readSnapshots(await sharedWasm(wasm), source, () => ({}), options);
}
