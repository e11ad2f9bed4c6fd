/** The vocabulary of a GGUF file: tokens, their types, and which of them are special, read as llama.cpp reads them. */
import { shown } from '../checks.js';
import { badFile, numberArray, stringArray } from './metadata.js';

/** UTF-16 units of a token, and of a merge of two. */
export const TEXT_LIMITS = { token: 1024, merge: 2049 };

/** `tokenizer.ggml.token_type` */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/**
 * @typedef {object} Vocabulary
 * @property {string[]} texts spelling of each token, by id
 * @property {Uint8Array} types TOKEN_TYPE by id
 * @property {Map<string, number>} idOf
 * @property {number | null} bosId
 * @property {number | null} eosId
 * @property {Set<number>} eogIds every token that ends a generation
 */

// Files rarely name all of these, so llama.cpp finds them by text. Tokens so found are control tokens, whatever their type.
const END_OF_GENERATION = [
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|return|>', '<|call|>', '<|flush|>', '<|calls|>', '<end_of_turn>'],
  ...['<|endoftext|>', '</s>', '<|eom_id|>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<|end_of_text|>'],
  ...['<end_of_utterance>', '<eos>', '<turn|>', '<|tool_response>', '<｜end▁of▁sentence｜>', '[e~['],
];
/** @type {{keys: string[], texts: string[], ends: boolean}[]} */
const FILL_IN_MIDDLE = [
  {
    keys: ['fim_pre_token_id', 'prefix_token_id'],
    texts: [
      ...['<|fim_prefix|>', '<fim-prefix>', '<fim_prefix>', '<｜fim▁begin｜>', '<PRE>', '▁<PRE>'],
      ...['<|code_prefix|>', '<|prefix|>'],
    ],
    ends: false,
  },
  {
    keys: ['fim_suf_token_id', 'suffix_token_id'],
    texts: [
      ...['<|fim_suffix|>', '<fim-suffix>', '<fim_suffix>', '<｜fim▁hole｜>', '<SUF>', '▁<SUF>'],
      ...['<|code_suffix|>', '<|suffix|>'],
    ],
    ends: false,
  },
  {
    keys: ['fim_mid_token_id', 'middle_token_id'],
    texts: [
      ...['<|fim_middle|>', '<fim-middle>', '<fim_middle>', '<｜fim▁end｜>', '<MID>', '▁<MID>'],
      ...['<|code_middle|>', '<|middle|>'],
    ],
    ends: false,
  },
  { keys: ['fim_pad_token_id'], texts: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'], ends: true },
  {
    keys: ['fim_rep_token_id'],
    texts: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
    ends: true,
  },
  { keys: ['fim_sep_token_id'], texts: ['<|file_sep|>'], ends: true },
];

/**
 * @param {Record<string, unknown>} metadata
 * @param {string} name key below `tokenizer.ggml.`
 * @param {number} size of the vocabulary
 * @returns {number | null} null when the file does not say
 */
function specialId(metadata, name, size) {
  const field = `tokenizer.ggml.${name}`;
  const value = metadata[field];
  if (value === undefined) return null;
  const id = typeof value === 'bigint' ? Number(value) : value;
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= size) {
    throw badFile(field, `Token id ${shown(value)} is not in the vocabulary of ${size} tokens`, value, size - 1);
  }
  return id;
}

/**
 * @param {Record<string, unknown>} metadata
 * @param {{bosId: number | null, eosId: number | null}} defaults ids when the file names none
 * @returns {Vocabulary}
 * @throws {HalfspaceError} 'bad-file'
 */
export function readVocabulary(metadata, defaults) {
  const field = 'tokenizer.ggml.tokens';
  const texts = stringArray(metadata, field, TEXT_LIMITS.token).map((text, id) => text || `[EMPTY_${id}]`);
  const size = texts.length;
  const idOf = new Map(texts.map((text, id) => [text, id]));
  if (idOf.size !== size) {
    const id = texts.findIndex((text, i) => idOf.get(text) !== i);
    throw badFile(field, `Token ${JSON.stringify(texts[id])} is there twice`, texts[id]);
  }

  const declared = numberArray(metadata, 'tokenizer.ggml.token_type', size);
  const types = new Uint8Array(size).fill(TOKEN_TYPE.normal);
  if (declared) for (let id = 0; id < size; id++) types[id] = declared[id];

  /** @type {Set<number>} */
  const eogIds = new Set();
  for (const text of END_OF_GENERATION) {
    const id = idOf.get(text);
    if (id === undefined) continue;
    eogIds.add(id);
    types[id] = TOKEN_TYPE.control;
  }
  for (const { keys, texts: names, ends } of FILL_IN_MIDDLE) {
    let id = keys.map((key) => specialId(metadata, key, size)).findLast((found) => found !== null) ?? null;
    if (id === null) {
      const name = names.find((text) => idOf.has(text));
      if (name === undefined) continue;
      id = /** @type {number} */ (idOf.get(name));
      types[id] = TOKEN_TYPE.control;
    }
    if (ends) eogIds.add(id);
  }
  const bosId = specialId(metadata, 'bos_token_id', size) ?? defaults.bosId;
  const eosId = specialId(metadata, 'eos_token_id', size) ?? defaults.eosId;
  const otherEnds = ['eot_token_id', 'eom_token_id'].map((name) => specialId(metadata, name, size));
  for (const id of [eosId, ...otherEnds]) if (id !== null) eogIds.add(id);

  return { texts, types, idOf, bosId, eosId, eogIds };
}
