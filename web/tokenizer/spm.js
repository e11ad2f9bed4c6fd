/**
 * SentencePiece BPE (`tokenizer.ggml.model` "llama"): neighbours merge when their concatenation is a token, the best score
 * first; what is no token in the end is written as bytes. As in llama.cpp (llm_tokenizer_spm_session).
 */
import { HalfspaceError } from '../errors.js';
import { mergePairs } from './merge.js';
import { remember } from './remember.js';

/** @typedef {import('./vocabulary.js').Vocabulary} Vocabulary */

/** SentencePiece's stand-in for a space, U+2581. */
export const SPACE = '\u2581';
const encoder = new TextEncoder();

/**
 * @param {Vocabulary} vocabulary
 * @param {ArrayLike<number>} scores one per token
 * @returns {(text: string, out: number[]) => void} appends the ids of well-formed text
 */
export function createSpm({ idOf, texts }, scores) {
  // Where no token has a space behind another character, no merge crosses there: words are independent.
  const crossing = new RegExp(`[^${SPACE}]${SPACE}`);
  const independentWords = !texts.some((text) => crossing.test(text));
  const wordStart = new RegExp(`(?<=[^${SPACE}])(?=${SPACE})`);

  /** @param {number} byte */
  const byteId = (byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    const id = idOf.get(name) ?? (byte < 0x80 ? idOf.get(String.fromCharCode(byte)) : undefined);
    if (id === undefined) {
      const field = 'tokenizer.ggml.tokens';
      throw new HalfspaceError('bad-file', `The vocabulary has no token for byte ${name} (${field})`, { field, value: name });
    }
    return id;
  };

  const encodePiece = remember((piece) => {
    const symbols = mergePairs(piece, (left, _right, end) => {
      const id = idOf.get(piece.slice(left, end));
      return id === undefined ? undefined : scores[id];
    });
    return symbols.flatMap((symbol) => idOf.get(symbol) ?? Array.from(encoder.encode(symbol), byteId));
  });

  return (text, out) => {
    const escaped = text.replaceAll(' ', SPACE);
    const pieces = independentWords ? escaped.split(wordStart) : [escaped];
    for (const piece of pieces) for (const id of encodePiece(piece)) out.push(id);
  };
}
