/** Caches and indexes filled from snapshots in a store: record by record, as fast as they are taken in, and usable meanwhile. */
import { HalfspaceError, inspectSnapshot } from 'halfspace/edge';

/**
 * @typedef {{fetch: import('../../web/bytes/sources.js').Fetch}} Store a binding
 * @typedef {import('../../web/attention/core.js').LoadOptions} Memory
 */

/**
 * @template T
 * @typedef {object} Held
 * @property {T} handle answers on what has arrived
 * @property {Promise<void>} filled once all has; where something goes wrong the handle is freed
 * @property {() => void} free also while it is filled
 */

/** @param {Store} store @param {string} file @returns {Promise<ReadableStream<Uint8Array>>} */
async function open(store, file) {
  const { ok, status, body } = await store.fetch(`http://store/${encodeURIComponent(file)}`);
  if (ok && body) return body;
  await body?.cancel();
  throw new HalfspaceError('io', `${file}: status ${status}`, { field: file, value: status, limit: 200 });
}

/**
 * What a snapshot holds, in a cache or an index of the shape that its header tells.
 * @template {import('halfspace/edge').KvCache | import('halfspace/edge').HsrIndex} T
 * @param {Store} store
 * @param {string} file
 * @param {{create: (shape: {headDim: number, kvHeads: number, type: 'q8' | 'f32', maxChunk: number, wasm: Memory}) => Promise<T>}} Type
 * @param {Memory} wasm
 * @returns {Promise<Held<T>>}
 */
export async function holdSnapshot(store, file, Type, wasm) {
  const { shape, kv, index } = await inspectSnapshot(await open(store, file), { wasm });
  const body = await open(store, file);
  const stop = new AbortController();
  const handle = await Type.create({
    headDim: shape.headDim,
    kvHeads: shape.kvHeads,
    type: kv,
    maxChunk: /** @type {128} */ (index.maxChunk),
    wasm,
  });
  // The pipe is stopped, not the writable: workerd's pipes end without an error where theirs comes while they wait for bytes.
  const filled = body.pipeTo(handle.writable(), { signal: stop.signal }).catch((error) => {
    handle.free();
    throw error;
  });
  const free = () => {
    stop.abort(new HalfspaceError('aborted', `${file} was given up`, { field: file }));
    handle.free();
  };
  return { handle, filled, free };
}
