/** What the metadata says about a model, as the words that hs_model_create() takes (src/model/config.h). */
import { shown } from '../checks.js';
import { HalfspaceError } from '../errors.js';

const ARCHITECTURES = ['llama', 'qwen2', 'qwen3', 'gemma3'];
const ROPE_SCALINGS = ['none', 'linear', 'ntk', 'yarn'];
const WORDS = 28;
const MOST = 2 ** 31 - 1;
/** Ranges of the integers, as in src/model/config.c and src/base/hs.h: beyond them they would not be the same in 32 bits. */
const LIMITS = /** @type {const} */ ({
  block_count: [1, 256],
  embedding_length: [32, 1 << 16],
  'attention.head_count': [1, 256],
  'attention.head_count_kv': [1, 256],
  'attention.key_length': [16, 256],
  'attention.value_length': [16, 256],
  'attention.sliding_window': [0, 1 << 20],
  feed_forward_length: [32, 1 << 18],
  context_length: [1, MOST],
  expert_count: [0, MOST],
  'rope.dimension_count': [8, 256],
  'rope.scaling.original_context_length': [1, MOST],
});
const MAX_ROPE_FACTOR = 1024;
const MAX_VOCAB = 1 << 20;
/** What is kept of the model's name. */
const NAME_UNITS = 256;
/** Gemma 3: five sliding layers, then a global one; sliding layers use their own RoPE base. */
const GEMMA3_PATTERN = 6;
const GEMMA3_LOCAL_THETA = 10_000;

/**
 * @typedef {object} RopeOptions overrides of the file's rotary embedding
 * @property {number} [theta] the base of the angles
 * @property {'none' | 'linear' | 'ntk' | 'yarn'} [scaling] how positions beyond the trained ones are brought into range
 * @property {number} [factor] by how much, 1 to 1024
 * @property {number} [origContext] YaRN: tokens of the original context
 *
 * @typedef {object} ModelConfig what the file says of the model's shape
 * @property {string} arch llama, qwen2, qwen3 or gemma3
 * @property {number} nLayers blocks of attention and feed-forward
 * @property {number} dim numbers of an embedding
 * @property {number} nHeads query heads of a layer
 * @property {number} nKvHeads KV heads of a layer
 * @property {number} headDim numbers of a query, key or value
 * @property {number} ffnDim numbers inside the feed-forward step
 * @property {number} vocab tokens that there are
 * @property {number} contextTrain tokens the model was trained for
 * @property {string} name of the model, as the file has it
 * @property {ArrayBuffer} words the same as the core takes it
 * @property {string} fingerprint of the file (web/model/gguf.js)
 */

/**
 * @param {import('./gguf.js').GgufFile} file
 * @param {{rope?: RopeOptions}} [options]
 * @returns {ModelConfig}
 * @throws {HalfspaceError} unsupported: architecture or feature; bad-file: a key is missing or not a number
 */
export function modelConfig(file, { rope = {} } = {}) {
  const { metadata } = file;
  const name = metadata['general.name'];
  const arch = metadata['general.architecture'];
  if (!ARCHITECTURES.includes(arch)) {
    throw new HalfspaceError('unsupported', `architecture ${shown(arch)} is not supported (${ARCHITECTURES.join(', ')} are)`, {
      field: 'general.architecture',
      value: arch,
      limit: ARCHITECTURES.join(', '),
    });
  }
  /** @param {string} key @param {number} [fallback] */
  const number = (key, fallback) => numberOf(metadata, `${arch}.${key}`, fallback);
  /** @param {keyof typeof LIMITS} key @param {number} [fallback] */
  const integer = (key, fallback) => inRange(`${arch}.${key}`, number(key, fallback), LIMITS[key][0], LIMITS[key][1]);
  const experts = integer('expert_count', 0);
  if (experts > 0)
    throw new HalfspaceError('unsupported', 'mixture-of-experts models are not supported', {
      field: `${arch}.expert_count`,
      value: experts,
      limit: 0,
    });
  const embedding = file.tensors.find((t) => t.name === 'token_embd.weight');
  if (!embedding) throw new HalfspaceError('bad-file', 'tensor token_embd.weight is missing', { field: 'token_embd.weight' });
  const dim = integer('embedding_length');
  const nHeads = integer('attention.head_count');
  const headDim = integer('attention.key_length', dim / nHeads);
  const valueLength = integer('attention.value_length', headDim);
  if (valueLength !== headDim)
    throw new HalfspaceError('unsupported', 'values of another length than keys are not supported', {
      field: `${arch}.attention.value_length`,
      value: valueLength,
      limit: headDim,
    });
  const gemma = arch === 'gemma3';
  const contextTrain = integer('context_length');
  const scaling = ropeScaling(metadata, arch, rope);
  const nLayers = integer('block_count');
  const config = {
    arch,
    nLayers,
    dim,
    nHeads,
    nKvHeads: integer('attention.head_count_kv', nHeads),
    headDim,
    ffnDim: integer('feed_forward_length'),
    vocab: inRange('token_embd.weight', embedding.rows, 4, MAX_VOCAB),
    contextTrain,
    name: typeof name === 'string' ? name.slice(0, NAME_UNITS) : arch,
  };
  const words = new ArrayBuffer(WORDS * 4);
  const ints = new Int32Array(words);
  const floats = new Float32Array(words);
  ints.set([ARCHITECTURES.indexOf(arch), nLayers, dim, nHeads, config.nKvHeads, headDim, config.ffnDim, config.vocab]);
  floats[8] = number('attention.layer_norm_rms_epsilon', 1e-5);
  floats[9] = rope.theta ?? number('rope.freq_base', gemma ? 1_000_000 : 10_000);
  ints[10] = arch === 'llama' ? 0 : 1;
  ints[11] = integer('rope.dimension_count', headDim);
  ints[12] = ROPE_SCALINGS.indexOf(scaling.type);
  floats[13] = scaling.factor;
  ints[14] = rope.origContext ?? integer('rope.scaling.original_context_length', contextTrain);
  floats.set(
    [1, number('rope.scaling.attn_factor', 1), number('rope.scaling.yarn_beta_fast', 32), number('rope.scaling.yarn_beta_slow', 1)],
    15,
  );
  floats[19] = gemma ? GEMMA3_LOCAL_THETA : 0;
  ints[20] = gemma ? integer('attention.sliding_window', 0) : 0;
  ints[21] = ints[20] > 0 ? GEMMA3_PATTERN : 0;
  // Gemma 3 27B (62 layers) scales queries by the width per head, not by head_dim.
  floats[22] = gemma && nLayers === 62 ? 1 / Math.sqrt(dim / nHeads) : 0;
  floats[23] = gemma ? Math.sqrt(dim) : 0;
  floats[24] = number('attn_logit_softcapping', 0);
  floats[25] = number('final_logit_softcapping', 0);
  ints[26] = contextTrain;
  ints[27] = 1;
  return { ...config, words, fingerprint: file.fingerprint };
}

/**
 * @param {Record<string, unknown>} metadata
 * @param {string} field
 * @param {number} [fallback]
 * @returns {number} finite, in 32 bits too
 */
function numberOf(metadata, field, fallback) {
  const given = metadata[field] ?? fallback;
  const value = typeof given === 'bigint' ? Number(given) : given;
  if (typeof value === 'number' && Number.isFinite(Math.fround(value))) return value;
  throw new HalfspaceError('bad-file', `${field} is ${given === undefined ? 'missing' : 'not one finite number'}`, { field, value: given });
}

/** @param {string} field @param {number} value @param {number} least @param {number} most */
function inRange(field, value, least, most) {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const limit = value < least ? least : most;
  throw new HalfspaceError('bad-file', `${field} must be an integer from ${least} to ${most}, not ${value}`, { field, value, limit });
}

/**
 * @param {Record<string, any>} metadata
 * @param {string} arch
 * @param {RopeOptions} rope
 */
function ropeScaling(metadata, arch, rope) {
  const factorKey = [`${arch}.rope.scaling.factor`, `${arch}.rope.scale_linear`].find((key) => metadata[key] !== undefined);
  const factor = rope.factor ?? (factorKey ? numberOf(metadata, factorKey) : 1);
  const type = rope.scaling ?? metadata[`${arch}.rope.scaling.type`] ?? (factor === 1 ? 'none' : 'linear');
  if (!ROPE_SCALINGS.includes(type))
    throw new HalfspaceError('unsupported', `RoPE scaling ${shown(type)} is not supported`, {
      field: 'rope.scaling',
      value: type,
      limit: ROPE_SCALINGS.join(', '),
    });
  if (!(factor > 0 && factor <= MAX_ROPE_FACTOR)) {
    const [code, field] =
      rope.factor === undefined ? /** @type {const} */ (['bad-file', factorKey]) : /** @type {const} */ (['bad-argument', 'rope.factor']);
    throw new HalfspaceError(code, `${field} ${factor} is out of range`, { field, value: factor, limit: MAX_ROPE_FACTOR });
  }
  for (const name of /** @type {const} */ (['theta', 'origContext'])) {
    const value = rope[name];
    if (value !== undefined && !(value > 0 && value <= MOST))
      throw new HalfspaceError('bad-argument', `rope.${name} must be above 0, up to ${MOST}, not ${shown(value)}`, {
        field: `rope.${name}`,
        value,
        limit: MOST,
      });
  }
  return { type, factor: type === 'none' ? 1 : factor };
}
