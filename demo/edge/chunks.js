/**
 * Keys and values in chunks of files: `<name>.json` is {headDim, kvHeads, type, chunks: [file, ...]}, and a file is the keys of
 * some positions, [n][kvHeads][headDim] f32, followed by their values. Little endian, as WebAssembly is.
 */
import { HalfspaceError } from 'halfspace/edge';

/** One chunk is in JavaScript's memory at a time. */
const MAX_CHUNK_BYTES = 4 << 20;
const MAX_MANIFEST_BYTES = 1 << 20;
const MAX_CHUNKS = 65_536;

/**
 * @typedef {{fetch: import('../../web/sources.js').Fetch}} Store a binding
 * @typedef {{headDim: number, kvHeads: number, type: 'q8' | 'f32', chunks: string[]}} Manifest
 * @typedef {{keys: Float32Array, values: Float32Array}} Rows
 */

/** @param {string} message @param {string} field @param {unknown} value @param {unknown} [limit] */
const bad = (message, field, value, limit) => new HalfspaceError('bad-file', message, { field, value, limit });

/**
 * Reads a file into the same memory as the one before.
 * @param {Store} store
 * @param {string} file
 * @param {Uint8Array<ArrayBuffer>} room
 * @returns {Promise<number>} its bytes
 */
async function read(store, file, room) {
  const response = await store.fetch(`http://store/${encodeURIComponent(file)}`);
  const size = Number(response.headers.get('content-length') ?? Infinity);
  if (!response.ok || size > room.length) {
    await response.body?.cancel();
    if (!response.ok)
      throw new HalfspaceError('io', `${file}: status ${response.status}`, { field: file, value: response.status, limit: 200 });
    throw bad(`${file} has ${size} bytes, ${room.length} are allowed`, file, size, room.length);
  }
  let filled = 0;
  for await (const piece of response.body ?? []) {
    room.set(piece, filled);
    filled += piece.length;
  }
  return filled;
}

/**
 * @param {Store} store
 * @param {string} name
 * @returns {Promise<Manifest>}
 */
export async function readManifest(store, name) {
  const file = `${name}.json`;
  const bytes = new Uint8Array(MAX_MANIFEST_BYTES);
  const size = await read(store, file, bytes);
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes.subarray(0, size)));
  } catch (cause) {
    throw new HalfspaceError('bad-file', `${file} is not JSON`, { field: file, cause });
  }
  const { headDim, kvHeads = 1, type = 'q8', chunks } = manifest ?? {};
  if (!Array.isArray(chunks) || chunks.length > MAX_CHUNKS)
    throw bad(`${file}: chunks must be a list`, 'chunks', chunks?.length, MAX_CHUNKS);
  return { headDim, kvHeads, type, chunks };
}

/**
 * The rows of one chunk after the other, each until the next is asked for. A stream of chunk records into `cache.writable()` takes the place of this and of
 * append(), where the store holds snapshots.
 * @param {Store} store
 * @param {Manifest} manifest
 * @returns {AsyncGenerator<Rows, void>}
 */
export async function* readChunks(store, { headDim, kvHeads, chunks }) {
  const rowBytes = 8 * headDim * kvHeads;
  const room = new Uint8Array(MAX_CHUNK_BYTES);
  for (const file of chunks) {
    const size = await read(store, String(file), room);
    if (size % rowBytes !== 0)
      throw bad(`${file} has ${size} bytes, which are not whole rows of ${rowBytes}`, String(file), size, rowBytes);
    const numbers = size / 8;
    yield { keys: new Float32Array(room.buffer, 0, numbers), values: new Float32Array(room.buffer, 4 * numbers, numbers) };
  }
}
