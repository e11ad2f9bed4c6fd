/** What the metadata says about a model, as the words that hs_model_create() takes (src/model/config.h). */
import { HalfspaceError } from './errors.js';

const ARCHITECTURES = ['llama', 'qwen2', 'qwen3', 'gemma3'];
const ROPE_SCALINGS = ['none', 'linear', 'ntk', 'yarn'];
const WORDS = 28;
/** Gemma 3: five sliding layers, then a global one; sliding layers use their own RoPE base. */
const GEMMA3_PATTERN = 6;
const GEMMA3_LOCAL_THETA = 10_000;

/**
 * @typedef {object} RopeOptions overrides of the file's rotary embedding
 * @property {number} [theta]
 * @property {'none' | 'linear' | 'ntk' | 'yarn'} [scaling]
 * @property {number} [factor]
 * @property {number} [origContext] YaRN: tokens of the original context
 *
 * @typedef {object} ModelConfig
 * @property {string} arch
 * @property {number} nLayers
 * @property {number} dim
 * @property {number} nHeads
 * @property {number} nKvHeads
 * @property {number} headDim
 * @property {number} ffnDim
 * @property {number} vocab
 * @property {number} contextTrain tokens the model was trained for
 * @property {string} name
 * @property {ArrayBuffer} words
 * @property {string} [fingerprint] of the file (web/gguf.js), where it was loaded from one
 */

/**
 * @param {import('./gguf.js').GgufFile} file
 * @param {{rope?: RopeOptions}} [options]
 * @returns {ModelConfig}
 * @throws {HalfspaceError} unsupported: architecture or feature; bad-file: a key is missing or not a number
 */
export function modelConfig(file, { rope = {} } = {}) {
  const { metadata } = file;
  const arch = metadata['general.architecture'];
  if (!ARCHITECTURES.includes(arch)) {
    throw new HalfspaceError('unsupported', `architecture ${arch} is not supported (${ARCHITECTURES.join(', ')} are)`, {
      field: 'general.architecture',
      value: arch,
      limit: ARCHITECTURES.join(', '),
    });
  }
  /** @param {string} key @param {number} [fallback] */
  const number = (key, fallback) => {
    const value = metadata[`${arch}.${key}`] ?? fallback;
    if (typeof value === 'bigint') return Number(value);
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw new HalfspaceError('bad-file', `${arch}.${key} is ${value === undefined ? 'missing' : 'not one number'}`, {
        field: `${arch}.${key}`,
        value,
      });
    return value;
  };
  if (number('expert_count', 0) > 0)
    throw new HalfspaceError('unsupported', 'mixture-of-experts models are not supported', {
      field: `${arch}.expert_count`,
      value: number('expert_count'),
      limit: 0,
    });
  const embedding = file.tensors.find((t) => t.name === 'token_embd.weight');
  if (!embedding) throw new HalfspaceError('bad-file', 'tensor token_embd.weight is missing', { field: 'token_embd.weight' });
  const dim = number('embedding_length');
  const nHeads = number('attention.head_count');
  const headDim = number('attention.key_length', dim / nHeads);
  if (number('attention.value_length', headDim) !== headDim)
    throw new HalfspaceError('unsupported', 'values of another length than keys are not supported', {
      field: `${arch}.attention.value_length`,
      value: number('attention.value_length'),
      limit: headDim,
    });
  const gemma = arch === 'gemma3';
  const contextTrain = number('context_length');
  const scaling = ropeScaling(metadata, arch, rope);
  const nLayers = number('block_count');
  const config = {
    arch,
    nLayers,
    dim,
    nHeads,
    nKvHeads: number('attention.head_count_kv', nHeads),
    headDim,
    ffnDim: number('feed_forward_length'),
    vocab: embedding.rows,
    contextTrain,
    name: String(metadata['general.name'] ?? arch),
  };
  const words = new ArrayBuffer(WORDS * 4);
  const ints = new Int32Array(words);
  const floats = new Float32Array(words);
  ints.set([ARCHITECTURES.indexOf(arch), nLayers, dim, nHeads, config.nKvHeads, headDim, config.ffnDim, config.vocab]);
  floats[8] = number('attention.layer_norm_rms_epsilon', 1e-5);
  floats[9] = rope.theta ?? number('rope.freq_base', gemma ? 1_000_000 : 10_000);
  ints[10] = arch === 'llama' ? 0 : 1;
  ints[11] = number('rope.dimension_count', headDim);
  ints[12] = ROPE_SCALINGS.indexOf(scaling.type);
  floats[13] = scaling.factor;
  ints[14] = rope.origContext ?? number('rope.scaling.original_context_length', contextTrain);
  floats.set(
    [1, number('rope.scaling.attn_factor', 1), number('rope.scaling.yarn_beta_fast', 32), number('rope.scaling.yarn_beta_slow', 1)],
    15,
  );
  floats[19] = gemma ? GEMMA3_LOCAL_THETA : 0;
  ints[20] = gemma ? number('attention.sliding_window', 0) : 0;
  ints[21] = ints[20] > 0 ? GEMMA3_PATTERN : 0;
  // Gemma 3 27B (62 layers) scales queries by the width per head, not by head_dim.
  floats[22] = gemma && nLayers === 62 ? 1 / Math.sqrt(dim / nHeads) : 0;
  floats[23] = gemma ? Math.sqrt(dim) : 0;
  floats[24] = number('attn_logit_softcapping', 0);
  floats[25] = number('final_logit_softcapping', 0);
  ints[26] = contextTrain;
  ints[27] = 1;
  return { ...config, words };
}

/**
 * @param {Record<string, any>} metadata
 * @param {string} arch
 * @param {RopeOptions} rope
 */
function ropeScaling(metadata, arch, rope) {
  const factor = rope.factor ?? Number(metadata[`${arch}.rope.scaling.factor`] ?? metadata[`${arch}.rope.scale_linear`] ?? 1);
  const type = rope.scaling ?? metadata[`${arch}.rope.scaling.type`] ?? (factor === 1 ? 'none' : 'linear');
  if (!ROPE_SCALINGS.includes(type))
    throw new HalfspaceError('unsupported', `RoPE scaling ${type} is not supported`, {
      field: 'rope.scaling',
      value: type,
      limit: ROPE_SCALINGS.join(', '),
    });
  if (!(factor > 0 && factor <= 1024))
    throw new HalfspaceError('bad-argument', `RoPE scaling factor ${factor} is out of range`, {
      field: 'rope.factor',
      value: factor,
      limit: 1024,
    });
  if (rope.theta !== undefined && !(rope.theta > 0 && Number.isFinite(rope.theta)))
    throw new HalfspaceError('bad-argument', `RoPE theta ${rope.theta} must be positive`, {
      field: 'rope.theta',
      value: rope.theta,
      limit: 0,
    });
  return { type, factor: type === 'none' ? 1 : factor };
}
