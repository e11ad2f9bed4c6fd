/** Byte-level BPE (`tokenizer.ggml.model` "gpt2"): words are spelt in 256 printable characters, one per byte, and merged. */
import { HalfspaceError } from '../errors.js';
import { mergePairs } from './merge.js';
import { createPreTokenizer } from './pretokenizers.js';
import { remember } from './remember.js';

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
const spell = (word) => Array.from(encoder.encode(word), (byte) => CHARACTER_OF_BYTE[byte]).join('');

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
 * @returns {Map<string, Map<string, number>>} score by left, then right
 */
function scoresOfMerges(merges) {
  /** @type {Map<string, Map<string, number>>} */
  const scores = new Map();
  for (const [rank, merge] of merges.entries()) {
    const space = merge.indexOf(' ', 1);
    if (space < 0) {
      const field = 'tokenizer.ggml.merges';
      throw new HalfspaceError('bad-file', `Merge ${JSON.stringify(merge)} has no second part (${field})`, {
        field,
        value: merge,
      });
    }
    const left = merge.slice(0, space);
    const right = merge.slice(space + 1);
    let ofLeft = scores.get(left);
    if (!ofLeft) scores.set(left, (ofLeft = new Map()));
    if (!ofLeft.has(right)) ofLeft.set(right, -rank);
  }
  return scores;
}

/**
 * @param {Vocabulary} vocabulary
 * @param {string[]} merges `tokenizer.ggml.merges`
 * @param {string} pre `tokenizer.ggml.pre`
 * @returns {{addBos: boolean, encode: (text: string, out: number[]) => void}} encode appends the ids of well-formed
 *   text; addBos is the pre-tokenizer's default
 */
export function createBpe({ idOf }, merges, pre) {
  const { split, ignoreMerges, addBos } = createPreTokenizer(pre);
  const scores = scoresOfMerges(merges);

  /**
   * llama.cpp: what merged into no token falls apart into its single ASCII characters, the rest is dropped.
   * @param {string} symbol
   */
  const idsOf = (symbol) => idOf.get(symbol) ?? Array.from(symbol).flatMap((c) => (c < '\x80' ? (idOf.get(c) ?? []) : []));

  const encodeWord = remember((word) => {
    const spelt = spell(word);
    const whole = ignoreMerges ? idOf.get(spelt) : undefined;
    if (whole !== undefined) return [whole];
    const symbols = mergePairs(spelt, (left, right, end) => scores.get(spelt.slice(left, right))?.get(spelt.slice(right, end)));
    return symbols.flatMap(idsOf);
  });

  return {
    addBos,
    encode(text, out) {
      for (const word of split(text)) for (const id of encodeWord(word)) out.push(id);
    },
  };
}
