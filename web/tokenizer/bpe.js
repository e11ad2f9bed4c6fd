/** Byte-level BPE (`tokenizer.ggml.model` "gpt2"): words are spelt in 256 printable characters, one per byte, and merged. */
import { BPE } from '@huggingface/tokenizers';
import { HalfspaceError } from '../errors.js';
import { createPreTokenizer } from './pretokenizers.js';

/** @typedef {import('./vocabulary.js').Vocabulary} Vocabulary */

/** Printable character of each byte (GPT-2's bytes_to_unicode): itself where it prints, else from U+0100 on. */
const CHARACTER_OF_BYTE = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(prints ? byte : next++);
  });
})();
const BYTE_OF_CHARACTER = new Map(CHARACTER_OF_BYTE.map((character, byte) => [character, byte]));
const encoder = new TextEncoder();

/** @param {string} word */
function spell(word) {
  let spelt = '';
  for (const byte of encoder.encode(word)) spelt += CHARACTER_OF_BYTE[byte];
  return spelt;
}

/**
 * Bytes of a normal token. A character that stands for no byte (an added token typed as normal) is kept as it is.
 * @param {string} text the token as spelt in the file
 */
export function bpeTokenBytes(text) {
  /** @type {number[]} */
  const bytes = [];
  for (const character of text) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) bytes.push(...encoder.encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/**
 * @param {string[]} merges "left right", best first
 * @returns {[string, string][]}
 */
function parseMerges(merges) {
  // The first of equal merges gives the rank; a Set keeps it there.
  return [...new Set(merges)].map((merge) => {
    const space = merge.indexOf(' ', 1);
    if (space < 0) {
      const message = `Merge "${merge}" (tokenizer.ggml.merges) has no second part`;
      throw new HalfspaceError('bad-file', message, { field: 'tokenizer.ggml.merges', value: merge });
    }
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

/**
 * @param {Vocabulary} vocabulary
 * @param {string[]} merges `tokenizer.ggml.merges`
 * @param {string} pre `tokenizer.ggml.pre`
 * @returns {{addBos: boolean, encode: (text: string, out: number[]) => void}} encode appends the ids of well-formed
 *   text; addBos is the pre-tokenizer's default
 */
export function createBpe(vocabulary, merges, pre) {
  const { split, ignoreMerges, addBos } = createPreTokenizer(pre);
  const { idOf } = vocabulary;
  // Only the library's merge loop is used: ids and what is not in the vocabulary are looked up here, as llama.cpp does.
  const bpe = new BPE({ type: 'BPE', vocab: {}, merges: parseMerges(merges) });

  return {
    addBos,
    encode(text, out) {
      for (const word of split(text)) {
        const spelt = spell(word);
        const whole = ignoreMerges ? idOf.get(spelt) : undefined;
        if (whole !== undefined) {
          out.push(whole);
          continue;
        }
        for (const token of bpe.bpe(spelt)) {
          const id = idOf.get(token);
          if (id !== undefined) {
            out.push(id);
            continue;
          }
          // llama.cpp: what merged into no token falls apart into its single ASCII characters, the rest is dropped.
          for (const character of token) {
            const single = character < '\x80' ? idOf.get(character) : undefined;
            if (single !== undefined) out.push(single);
          }
        }
      }
    },
  };
}
