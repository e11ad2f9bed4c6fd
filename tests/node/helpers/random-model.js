/** Small models of random weights, of every architecture and tensor type that can be loaded. */
import { writeGguf } from './gguf-writer.js';
import { toHalf } from './half.js';
import { seededRandom } from './random.js';

const [DIM, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB] = [256, 4, 2, 64, 512, 288];
export const TYPES = { F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14, BF16: 30 };
/** @typedef {keyof typeof TYPES} TypeName */
const TOKEN = { normal: 1, unknown: 2, control: 3, byte: 6 };

/** For `keys`, as 'tokenizer.chat_template': with roles as text, and no end tokens. */
export const CHAT_TEMPLATE =
  "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

/**
 * Bytes of a quantised block: random bytes, then scales that make the weights' deviation about `spread`.
 * [block bytes, weights, [[offset of an f16, its value for spread 1]...]]: d * u + m has the deviation of u times d.
 * @type {Record<string, [number, number, [number, number][]]>}
 */
const BLOCKS = {
  Q4_0: [18, 32, [[0, 1 / 4.6]]],
  Q4_1: [20, 32, [[0, 1 / 4.6], [2, -7.5 / 4.6]]], // prettier-ignore
  Q5_0: [22, 32, [[0, 1 / 9.2]]],
  Q5_1: [24, 32, [[0, 1 / 9.2], [2, -15.5 / 9.2]]], // prettier-ignore
  Q8_0: [34, 32, [[0, 1 / 74]]],
  Q4_K: [144, 256, [[0, 1 / 4.6 / 36], [2, 7.5 / 4.6 / 36]]], // prettier-ignore
  Q5_K: [176, 256, [[0, 1 / 9.2 / 36], [2, 15.5 / 9.2 / 36]]], // prettier-ignore
  Q6_K: [210, 256, [[208, 1 / 18.5 / 74]]],
};

/**
 * @param {keyof typeof TYPES} type
 * @param {number} count
 * @param {number} spread
 * @param {() => number} random
 * @param {number} mean of float types
 */
function weights(type, count, spread, random, mean = 0) {
  if (type in BLOCKS) {
    const [bytes, per, scales] = BLOCKS[type];
    const data = new Uint8Array((count / per) * bytes).map(() => random() * 256);
    const view = new DataView(data.buffer);
    for (let at = 0; at < data.length; at += bytes) {
      const size = 0.5 + random();
      for (const [offset, value] of scales) view.setUint16(at + offset, toHalf(value * spread * size), true);
    }
    return data;
  }
  const values = Float32Array.from({ length: count }, () => mean + spread * (random() + random() + random() + random() - 2) * Math.sqrt(3));
  if (type === 'F32') return new Uint8Array(values.buffer);
  const bits = type === 'F16' ? Array.from(values, toHalf) : Array.from(new Uint32Array(values.buffer), (x) => x >>> 16);
  return new Uint8Array(Uint16Array.from(bits).buffer);
}

/** Byte tokens and a few others: any text can be tokenized, and ids are all that matters here. */
function vocabulary() {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const others = Array.from({ length: VOCAB - 259 }, (_, i) => `\u2581${String.fromCharCode(97 + (i % 26))}${i}`);
  const types = [TOKEN.unknown, TOKEN.control, TOKEN.control, ...bytes.map(() => TOKEN.byte), ...others.map(() => TOKEN.normal)];
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', ...bytes, ...others],
    'tokenizer.ggml.scores': Float32Array.from({ length: VOCAB }, (_, i) => -i),
    'tokenizer.ggml.token_type': Int32Array.from(types),
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
  };
}

/**
 * @param {object} options
 * @param {'llama' | 'qwen2' | 'qwen3' | 'gemma3'} options.arch
 * @param {keyof typeof TYPES} [options.type] of the matrices; vectors are F32
 * @param {boolean} [options.tied] output and embedding are one matrix
 * @param {boolean} [options.ropeFreqs] with rope_freqs.weight
 * @param {Record<string, import('./gguf-writer.js').Value>} [options.metadata] keys after `<arch>.`
 * @param {number} [options.layers] default 2, of Gemma 3 seven: the sixth is global, the others slide
 * @param {boolean} [options.printable] untied F32 only: greedy answers are of printable ASCII, so that their text gives their ids again
 * @param {Record<string, import('./gguf-writer.js').Value>} [options.keys] further keys as they are
 * @param {number} [options.seed]
 * @returns {Buffer}
 */
export function randomModel({
  arch,
  type = 'F32',
  tied = true,
  ropeFreqs = false,
  printable = false,
  metadata = {},
  keys = {},
  seed = 1,
  layers = arch === 'gemma3' ? 7 : 2,
}) {
  const random = seededRandom(seed);
  const gemma = arch === 'gemma3';
  const config = {
    context_length: 256,
    embedding_length: DIM,
    block_count: layers,
    feed_forward_length: FFN,
    'attention.head_count': HEADS,
    'attention.head_count_kv': KV_HEADS,
    'attention.key_length': HEAD_DIM,
    'attention.value_length': HEAD_DIM,
    'attention.layer_norm_rms_epsilon': 1e-5,
    'rope.dimension_count': HEAD_DIM,
    'rope.freq_base': 10000.5, // with a fraction, or it would be written as an integer
    vocab_size: VOCAB,
    ...(gemma && { 'attention.sliding_window': 16 }),
    ...metadata,
  };
  /** @type {import('./gguf-writer.js').Tensor[]} */
  const tensors = [];
  const matrix = (/** @type {string} */ name, /** @type {number} */ rows, /** @type {number} */ cols, spread = 1 / Math.sqrt(cols)) =>
    tensors.push({ name, type: TYPES[type], shape: [cols, rows], data: weights(type, rows * cols, spread, random) });
  const vector = (/** @type {string} */ name, /** @type {number} */ n, mean = 1, spread = 0.1) =>
    tensors.push({ name, type: TYPES.F32, shape: [n], data: weights('F32', n, spread, random, mean) });

  matrix('token_embd.weight', VOCAB, DIM, 0.15);
  vector('output_norm.weight', DIM);
  if (!tied) matrix('output.weight', VOCAB, DIM, 0.15);
  for (let id = 0; printable && id < VOCAB; id++) {
    if (!(id >= 3 + 0x21 && id <= 3 + 0x7e)) tensors[tensors.length - 1].data.fill(0, id * DIM * 4, (id + 1) * DIM * 4);
  }
  if (ropeFreqs) vector('rope_freqs.weight', HEAD_DIM / 2, 4, 1);
  for (let l = 0; l < layers; l++) {
    const name = (/** @type {string} */ part) => `blk.${l}.${part}`;
    vector(name('attn_norm.weight'), DIM);
    matrix(name('attn_q.weight'), HEADS * HEAD_DIM, DIM, 2 / Math.sqrt(DIM)); // wide enough that attention chooses
    matrix(name('attn_k.weight'), KV_HEADS * HEAD_DIM, DIM);
    matrix(name('attn_v.weight'), KV_HEADS * HEAD_DIM, DIM);
    matrix(name('attn_output.weight'), DIM, HEADS * HEAD_DIM);
    if (arch === 'qwen2') {
      vector(name('attn_q.bias'), HEADS * HEAD_DIM, 0, 0.5);
      vector(name('attn_k.bias'), KV_HEADS * HEAD_DIM, 0, 0.5);
      vector(name('attn_v.bias'), KV_HEADS * HEAD_DIM, 0, 0.5);
    }
    if (arch === 'qwen3' || gemma) {
      vector(name('attn_q_norm.weight'), HEAD_DIM);
      vector(name('attn_k_norm.weight'), HEAD_DIM);
    }
    if (gemma) {
      vector(name('post_attention_norm.weight'), DIM);
      vector(name('post_ffw_norm.weight'), DIM);
    }
    vector(name('ffn_norm.weight'), DIM);
    matrix(name('ffn_gate.weight'), FFN, DIM);
    matrix(name('ffn_up.weight'), FFN, DIM);
    matrix(name('ffn_down.weight'), DIM, FFN);
  }
  const settings = Object.entries(config).map(([key, value]) => [`${arch}.${key}`, value]);
  return writeGguf({ 'general.architecture': arch, ...Object.fromEntries(settings), ...vocabulary(), ...keys }, tensors);
}
