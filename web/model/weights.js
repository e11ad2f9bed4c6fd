/** Streams tensors from the file into WASM memory, where they are repacked row by row: no second copy of the weights. */
import { throwIfAborted } from '../abort.js';
import { HalfspaceError } from '../errors.js';

const STAGING_BYTES = 1 << 20;
const PROGRESS_STEP_BYTES = 1 << 20;
/** HS_ERR_ARGUMENT and HS_ERR_STATE of src/base/hs.h: what the core calls so is the file's fault here. */
const FILE_FAULTS = [-1, -3];

/** Slots of src/model/model.h. */
const GLOBAL_SLOTS = new Map([
  ['token_embd.weight', 0],
  ['output_norm.weight', 1],
  ['output.weight', 2],
  ['rope_freqs.weight', 3],
]);
const LAYER_SLOTS = new Map(
  [
    'attn_norm.weight',
    'attn_q.weight',
    'attn_k.weight',
    'attn_v.weight',
    'attn_output.weight',
    'attn_q.bias',
    'attn_k.bias',
    'attn_v.bias',
    'attn_q_norm.weight',
    'attn_k_norm.weight',
    'post_attention_norm.weight',
    'ffn_norm.weight',
    'ffn_gate.weight',
    'ffn_up.weight',
    'ffn_down.weight',
    'post_ffw_norm.weight',
  ].map((name, i) => [name, 8 + i]),
);

/**
 * @param {string} name
 * @param {number} layers of the model
 * @returns {{slot: number, layer: number}}
 * @throws {HalfspaceError} unsupported: a tensor this forward pass would ignore; bad-file: one of a layer that is not there
 */
function place(name, layers) {
  const global = GLOBAL_SLOTS.get(name);
  if (global !== undefined) return { slot: global, layer: 0 };
  const [, digits, rest] = /^blk\.(0|[1-9]\d*)\.(.+)$/.exec(name) ?? [];
  const slot = LAYER_SLOTS.get(rest);
  if (slot === undefined)
    throw new HalfspaceError('unsupported', `tensor ${name} is not part of a supported architecture`, { field: 'tensor', value: name });
  const layer = Number(digits);
  if (layer < layers) return { slot, layer };
  throw new HalfspaceError('bad-file', `tensor ${name} is of a layer that the model has not: it has ${layers}`, {
    field: name,
    value: layer,
    limit: layers - 1,
  });
}

/** The name of a slot. @param {number} slot @param {number} layer */
function nameOf(slot, layer) {
  const named = (/** @type {Map<string, number>} */ slots) => [...slots.keys()].find((name) => slots.get(name) === slot);
  return named(GLOBAL_SLOTS) ?? `blk.${layer}.${named(LAYER_SLOTS)}`;
}

/**
 * Announces every tensor to the core, before a weight is read.
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {number} model
 * @param {{tensor: import('./gguf.js').GgufTensor, slot: number, layer: number}[]} places
 */
function createTensors(wasm, model, places) {
  for (const { tensor, slot, layer } of places) {
    const status = wasm.exports.hs_tensor_create(model, slot, layer, tensor.type, tensor.rows, tensor.cols);
    if (FILE_FAULTS.includes(status)) {
      const shape = `${tensor.cols}x${tensor.rows}`;
      throw new HalfspaceError('bad-file', `tensor ${tensor.name} of shape ${shape} does not fit the model: ${wasm.lastError()}`, {
        field: tensor.name,
        value: shape,
      });
    }
    wasm.check(status, tensor.name);
  }
  const missing = wasm.exports.hs_model_missing(model);
  if (missing === -1) return;
  const name = nameOf(missing & 255, missing >> 8);
  throw new HalfspaceError('bad-file', `tensor ${name} is missing`, { field: name });
}

/**
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {number} model pointer
 * @param {import('./gguf.js').GgufFile} file
 * @param {number} layers
 * @param {import('../bytes/sources.js').ByteSource} source
 * @param {{onProgress?: (bytes: number, total: number) => void, signal?: AbortSignal}} [options]
 * @throws {HalfspaceError} bad-file: a tensor is missing or not of the shape that the metadata ask for; the field is its name
 */
export async function loadWeights(wasm, model, file, layers, source, { onProgress, signal } = {}) {
  const places = file.tensors.map((tensor) => ({ tensor, ...place(tensor.name, layers) }));
  throwIfAborted(signal);
  createTensors(wasm, model, places);
  const total = file.tensors.reduce((sum, t) => sum + t.nbytes, 0);
  const rowBytes = (/** @type {import('./gguf.js').GgufTensor} */ t) => t.nbytes / t.rows;
  const stagingBytes = Math.max(STAGING_BYTES, ...file.tensors.map((t) => Math.min(4, t.rows) * rowBytes(t)));
  const staging = wasm.alloc(stagingBytes, 'staging buffer');
  let done = 0;
  let reported = 0;
  const report = (/** @type {number} */ bytes) => {
    done += bytes;
    if (done - reported >= PROGRESS_STEP_BYTES || done === total) {
      reported = done;
      onProgress?.(done, total);
    }
  };
  try {
    for (const { tensor, slot, layer } of places) {
      throwIfAborted(signal);
      const rowsAtOnce = Math.max(4, Math.floor(stagingBytes / rowBytes(tensor) / 4) * 4);
      let row = 0;
      let filled = 0;
      const flush = () => {
        const n = filled / rowBytes(tensor);
        wasm.check(wasm.exports.hs_tensor_rows(model, slot, layer, row, n, staging), tensor.name);
        row += n;
        filled = 0;
      };
      for await (const piece of source.stream(tensor.offset, tensor.nbytes, { signal })) {
        for (let at = 0; at < piece.length;) {
          const room = Math.min(rowsAtOnce, tensor.rows - row) * rowBytes(tensor) - filled;
          const part = piece.subarray(at, at + room);
          wasm.bytes(staging + filled, part.length).set(part);
          at += part.length;
          filled += part.length;
          if (part.length === room) flush();
        }
        report(piece.length);
      }
    }
  } finally {
    wasm.exports.hs_free(staging);
  }
  wasm.check(wasm.exports.hs_model_ready(model), 'weights');
}
