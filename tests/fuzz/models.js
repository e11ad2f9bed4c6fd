/** Small valid files, and where in them the numbers are. */
import { fromStream } from '../../web/bytes/sources.js';
import { randomModel } from '../node/helpers/random-model.js';

export const TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}[{{ m.content | trim }}]{% else %}<|im_start|>{{ m.role }}\n" +
  "{{ m.content.split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const BPE = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': [
    '<unk>',
    '<|im_start|>',
    '<|im_end|>',
    ...Array.from('abcdefghijklmnopqrstuvwxyz\u0120\u010a<>|/'),
    'th',
    'the',
    '\u0120the',
  ],
  'tokenizer.ggml.token_type': Int32Array.from([2, 3, 3, ...Array(32).fill(1), 1, 1, 4]),
  'tokenizer.ggml.merges': ['t h', 'th e', '\u0120 the'],
  'tokenizer.ggml.bos_token_id': 1,
  'tokenizer.ggml.eos_token_id': 2,
  'tokenizer.ggml.scores': new Float32Array(3),
};

const keys = { 'tokenizer.chat_template': TEMPLATE, 'general.name': 'fuzz', 'general.alignment': 32 };

/** @type {Buffer[]} */
export const models = [
  randomModel({ arch: 'llama', type: 'Q4_1', keys }),
  randomModel({ arch: 'qwen2', type: 'Q8_0', tied: false, keys: { ...keys, ...BPE } }),
  randomModel({ arch: 'gemma3', type: 'Q4_0', metadata: { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 2.5 }, keys }),
];

/**
 * Where the counts, lengths, types and values of a GGUF header are, and where it ends.
 * @param {Buffer} file
 */
export function headerFields(file) {
  /** @type {number[]} */
  const fields = [];
  let at = 0;
  const number = (/** @type {number} */ width) => {
    fields.push(at);
    at += width;
    return width === 8 ? Number(file.readBigUInt64LE(at - 8)) : file.readUInt32LE(at - 4);
  };
  const text = () => {
    const length = number(8);
    at += length;
  };
  const value = (/** @type {number} */ type) => {
    if (type === 8) text();
    else if (type === 9) {
      const of = number(4);
      const length = number(8);
      for (let i = 0; of === 8 && i < length; i++) text();
      if (of !== 8) at += 4 * length;
    } else number(type === 7 ? 1 : 4);
  };
  number(4);
  number(4);
  const tensors = number(8);
  const keys = number(8);
  for (let i = 0; i < keys; i++) {
    text();
    value(number(4));
  }
  for (let i = 0; i < tensors; i++) {
    text();
    const dimensions = number(4);
    for (let d = 0; d < dimensions; d++) number(8);
    number(4);
    number(8);
  }
  return { fields, end: at };
}

/**
 * @param {Uint8Array} bytes
 * @param {number} [size] of the file, whose end is not looked at
 */
export const memorySource = (bytes, size = bytes.length) =>
  fromStream('fuzz', size, async function* (offset, length) {
    const part = new Uint8Array(length);
    part.set(bytes.subarray(offset, offset + length));
    yield part;
  });
