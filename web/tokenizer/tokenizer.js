/** Text to token ids and back, from the metadata of a GGUF file. Ids are those llama.cpp gives for the same file. */
import { shown } from '../checks.js';
import { HalfspaceError } from '../errors.js';
import { bpeTokenBytes, createBpe } from './bpe.js';
import { flag, numberArray, stringArray } from './metadata.js';
import { createSpecialSplitter } from './special.js';
import { createSpm, SPACE } from './spm.js';
import { readVocabulary, TEXT_LIMITS, TOKEN_TYPE } from './vocabulary.js';

/** @typedef {import('./vocabulary.js').Vocabulary} Vocabulary */

/**
 * @typedef {object} TextStream
 * @property {(id: number) => string} push text that the token completes: '' while a character is unfinished
 * @property {() => string} flush U+FFFD for the bytes of an unfinished character, else ''
 */

/**
 * @typedef {object} Tokenizer
 * @property {(text: string, options?: {addSpecial?: boolean, parseSpecial?: boolean}) => number[]} encode
 *   addSpecial (default true): BOS and EOS where the file asks for them. parseSpecial (default false): the text of a
 *   control token becomes that token; user-defined tokens always do. Lone surrogates read as U+FFFD.
 * @property {(ids: Iterable<number>, options?: {skipSpecial?: boolean}) => string} decode
 *   skipSpecial (default false): leaves control tokens out. The space that encode puts in front is taken off again.
 * @property {(options?: {skipSpecial?: boolean}) => TextStream} decodeStream for text that follows other text
 * @property {(text: string) => string} protect for encode with parseSpecial: the same text, in which no control token is found
 * @property {number | null} bosId
 * @property {boolean} addBos whether encode puts BOS in front
 * @property {number | null} eosId the end token the file names
 * @property {Set<number>} eosIds every token that ends a generation
 * @property {number} vocabSize
 * @property {(id: number) => string} tokenText the token as spelt in the file
 */

/**
 * The part that differs by kind of tokenizer.
 * @typedef {object} Model
 * @property {Vocabulary} vocabulary
 * @property {(text: string, out: number[]) => void} encode appends the ids of well-formed text without special tokens
 * @property {(text: string) => Uint8Array} tokenBytes of a normal token's spelling
 * @property {boolean} addBos
 * @property {boolean} addSpacePrefix a space goes in front of a text, and behind every special token in it
 */

const encoder = new TextEncoder();

/**
 * @param {Record<string, unknown>} metadata
 * @returns {Model}
 */
function createModel(metadata) {
  const field = 'tokenizer.ggml.model';
  const kind = metadata[field];
  switch (kind) {
    case 'gpt2': {
      const vocabulary = readVocabulary(metadata, { bosId: null, eosId: null });
      const pre = metadata['tokenizer.ggml.pre'] ?? 'default';
      const { addBos, encode } = createBpe(
        vocabulary,
        stringArray(metadata, 'tokenizer.ggml.merges', TEXT_LIMITS.merge),
        /** @type {string} */ (pre),
      );
      return { vocabulary, encode, addBos, addSpacePrefix: false, tokenBytes: bpeTokenBytes };
    }
    case 'llama': {
      const vocabulary = readVocabulary(metadata, { bosId: 1, eosId: 2 });
      const size = vocabulary.texts.length;
      const scores = numberArray(metadata, 'tokenizer.ggml.scores', size) ?? new Float32Array(size);
      return {
        vocabulary,
        encode: createSpm(vocabulary, scores),
        addBos: true,
        addSpacePrefix: flag(metadata, 'tokenizer.ggml.add_space_prefix', true),
        tokenBytes: (text) => encoder.encode(text.replaceAll(SPACE, ' ')),
      };
    }
    default:
      throw new HalfspaceError('unsupported', `Tokenizer kind "${shown(kind)}" is not supported (${field})`, {
        field,
        value: kind,
        limit: ['gpt2', 'llama'],
      });
  }
}

/**
 * Special tokens for the splitter. White space behind them is dropped for Phi-3 only, which no metadata key says.
 * @param {Vocabulary} vocabulary
 * @param {string} modelName `general.name`
 */
function specialTokens({ texts, types }, modelName) {
  const phi3 = /phi-?3/i.test(modelName);
  const keepsSpace = ['<unk>', '<s>', '<|endoftext|>'];
  const specials = [];
  for (let id = 0; id < texts.length; id++) {
    const text = texts[id];
    const control = types[id] === TOKEN_TYPE.control || types[id] === TOKEN_TYPE.unknown;
    if (control || types[id] === TOKEN_TYPE.userDefined) {
      specials.push({ id, text, control, rstrip: phi3 && !keepsSpace.includes(text) });
    }
  }
  return specials;
}

/**
 * @param {string} text a byte token's, e.g. "<0x0A>"
 * @throws {HalfspaceError} 'bad-file'
 */
function byteOf(text) {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text);
  if (hex) return parseInt(hex[1], 16);
  const field = 'tokenizer.ggml.tokens';
  throw new HalfspaceError('bad-file', `Byte token ${JSON.stringify(text)} names no byte (${field})`, { field, value: text });
}

/**
 * @param {number | null} id
 * @param {boolean} wanted
 * @param {string} name 'bos' or 'eos'
 * @returns {number[]} what to add: the id, or nothing
 */
function addedToken(id, wanted, name) {
  if (!wanted) return [];
  if (id !== null) return [id];
  const field = `tokenizer.ggml.${name}_token_id`;
  throw new HalfspaceError('bad-file', `The file asks to add ${name.toUpperCase()} but does not name it (${field})`, { field });
}

/**
 * @param {Record<string, unknown>} metadata of a GGUF file, by full key
 * @returns {Tokenizer}
 * @throws {HalfspaceError} 'unsupported' kind of tokenizer or pre-tokenizer, 'bad-file' vocabulary
 */
export function createTokenizer(metadata) {
  const model = createModel(metadata);
  const { texts, types, bosId, eosId, eogIds } = model.vocabulary;
  const addBos = flag(metadata, 'tokenizer.ggml.add_bos_token', model.addBos);
  const before = addedToken(bosId, addBos, 'bos');
  const after = addedToken(eosId, flag(metadata, 'tokenizer.ggml.add_eos_token', false), 'eos');
  const special = createSpecialSplitter(specialTokens(model.vocabulary, String(metadata['general.name'] ?? '')));

  /** @param {number} id */
  const textOf = (id) => {
    const text = texts[id];
    if (text === undefined) {
      const limit = texts.length - 1;
      throw new HalfspaceError('bad-argument', `Token id ${shown(id)} is not in 0..${limit}`, { field: 'id', value: id, limit });
    }
    return text;
  };

  /**
   * @param {number} id
   * @param {boolean} skipSpecial
   * @returns {Uint8Array}
   */
  const bytesOf = (id, skipSpecial) => {
    const text = textOf(id);
    switch (types[id]) {
      case TOKEN_TYPE.normal:
        return model.tokenBytes(text);
      case TOKEN_TYPE.userDefined:
        return encoder.encode(text);
      case TOKEN_TYPE.control:
      case TOKEN_TYPE.unknown:
        return encoder.encode(skipSpecial ? '' : text);
      case TOKEN_TYPE.byte:
        return Uint8Array.of(byteOf(text));
      default: // unused and undefined tokens have no text
        return new Uint8Array(0);
    }
  };

  /**
   * @param {{skipSpecial?: boolean}} [options]
   * @returns {TextStream}
   */
  const decodeStream = ({ skipSpecial = false } = {}) => {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return {
      push: (id) => decoder.decode(bytesOf(id, skipSpecial), { stream: true }),
      flush: () => decoder.decode(),
    };
  };

  return {
    encode(text, { addSpecial = true, parseSpecial = false } = {}) {
      if (typeof text !== 'string') {
        throw new HalfspaceError('bad-argument', 'The text to encode must be a string', { field: 'text', value: typeof text });
      }
      const ids = addSpecial ? [...before] : [];
      let afterSpecial = true;
      for (const fragment of special.split(text.replace(/[\ud800-\udfff]/gu, '\ufffd'), parseSpecial)) {
        if (typeof fragment === 'number') ids.push(fragment);
        else model.encode(model.addSpacePrefix && afterSpecial ? ` ${fragment}` : fragment, ids);
        afterSpecial = typeof fragment === 'number';
      }
      if (addSpecial) ids.push(...after);
      return ids;
    },
    decode(ids, { skipSpecial = false } = {}) {
      const stream = decodeStream({ skipSpecial });
      let text = '';
      let first = model.addSpacePrefix;
      for (const id of ids) {
        const piece = stream.push(id);
        text += first && piece.startsWith(' ') ? piece.slice(1) : piece;
        first &&= id === bosId;
      }
      return text + stream.flush();
    },
    decodeStream,
    protect: special.protect,
    bosId,
    addBos,
    eosId,
    eosIds: eogIds,
    vocabSize: texts.length,
    tokenText: textOf,
  };
}
