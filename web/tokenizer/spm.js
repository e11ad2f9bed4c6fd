/**
 * SentencePiece BPE (`tokenizer.ggml.model` "llama"): of all neighbours whose concatenation is a token, the pair with the
 * best score merges first, the leftmost of equals; what forms no token is written as bytes. As in llama.cpp
 * (llm_tokenizer_spm_session). @huggingface/tokenizers merges by rank, not by score, so the loop is ours.
 */
import { HalfspaceError } from '../errors.js';

/** @typedef {import('./vocabulary.js').Vocabulary} Vocabulary */

/** SentencePiece's stand-in for a space, U+2581. */
export const SPACE = '\u2581';
const CACHED_PIECE_LENGTH = 32;
const CACHE_SIZE = 16384;
const encoder = new TextEncoder();

/**
 * @typedef {object} Pair
 * @property {number} left index of the left symbol
 * @property {number} right index of the right symbol
 * @property {number} score of the token both would make
 * @property {number} size UTF-16 length of both when queued: differs once either has grown
 */

/**
 * @param {Pair} a
 * @param {Pair} b
 */
const goesFirst = (a, b) => a.score > b.score || (a.score === b.score && a.left < b.left);

/** Binary heap of pairs, the one that goes first on top. */
class PairQueue {
  /** @type {Pair[]} */
  #heap = [];

  /** @param {Pair} pair */
  push(pair) {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(pair);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!goesFirst(pair, heap[parent])) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = pair;
  }

  /** @returns {Pair | undefined} */
  pop() {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return last;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && goesFirst(heap[child + 1], heap[child])) child++;
      if (!goesFirst(heap[child], last)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
    return top;
  }
}

/**
 * @param {string} text
 * @param {Map<string, number>} idOf
 * @param {ArrayLike<number>} scores
 * @returns {string[]} the text's final symbols
 */
function merge(text, idOf, scores) {
  // Symbols live at the UTF-16 offset of their first character: length, and neighbours by offset (-1 = none).
  const n = text.length;
  const lengths = new Int32Array(n);
  const previous = new Int32Array(n);
  const next = new Int32Array(n);
  const queue = new PairQueue();

  /**
   * @param {number} left
   * @param {number} right
   */
  const offer = (left, right) => {
    if (left < 0 || right < 0) return;
    const end = right + lengths[right];
    const id = idOf.get(text.slice(left, end));
    if (id !== undefined) queue.push({ left, right, score: scores[id], size: end - left });
  };

  for (let i = 0, before = -1; i < n; ) {
    lengths[i] = /** @type {number} */ (text.codePointAt(i)) > 0xffff ? 2 : 1;
    const after = i + lengths[i];
    previous[i] = before;
    next[i] = after < n ? after : -1;
    before = i;
    i = after;
  }
  for (let i = 0; i >= 0 && n > 0; i = next[i]) offer(i, next[i]);

  for (let pair = queue.pop(); pair; pair = queue.pop()) {
    const { left, right, size } = pair;
    if (lengths[left] === 0 || lengths[right] === 0 || lengths[left] + lengths[right] !== size) continue;
    lengths[left] = size;
    lengths[right] = 0;
    next[left] = next[right];
    if (next[right] >= 0) previous[next[right]] = left;
    offer(previous[left], left);
    offer(left, next[left]);
  }

  const symbols = [];
  for (let i = 0; i < n; i += lengths[i]) symbols.push(text.slice(i, i + lengths[i]));
  return symbols;
}

/**
 * @param {Vocabulary} vocabulary
 * @param {ArrayLike<number>} scores one per token
 * @returns {(text: string, out: number[]) => void} appends the ids of well-formed text
 */
export function createSpm(vocabulary, scores) {
  const { idOf, texts } = vocabulary;
  // Where no token has a space behind another character, no merge crosses there: words are independent, and cacheable.
  const crosses = new RegExp(`[^${SPACE}]${SPACE}`);
  const independentWords = !texts.some((text) => crosses.test(text));
  const wordStart = new RegExp(`(?<=[^${SPACE}])(?=${SPACE})`);
  /** @type {Map<string, number[]>} */
  const cache = new Map();

  /** @param {number} byte */
  const byteId = (byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    const id = idOf.get(name) ?? (byte < 0x80 ? idOf.get(String.fromCharCode(byte)) : undefined);
    if (id === undefined) {
      const message = `The vocabulary has no token for byte ${name} (tokenizer.ggml.tokens)`;
      throw new HalfspaceError('bad-file', message, { field: 'tokenizer.ggml.tokens', value: name });
    }
    return id;
  };

  /** @param {string} piece */
  const encodePiece = (piece) => {
    const cached = cache.get(piece);
    if (cached) return cached;
    /** @type {number[]} */
    const ids = [];
    for (const symbol of merge(piece, idOf, scores)) {
      const id = idOf.get(symbol);
      if (id !== undefined) ids.push(id);
      else for (const byte of encoder.encode(symbol)) ids.push(byteId(byte));
    }
    if (piece.length <= CACHED_PIECE_LENGTH) {
      if (cache.size >= CACHE_SIZE) cache.clear();
      cache.set(piece, ids);
    }
    return ids;
  };

  return (text, out) => {
    const escaped = text.replaceAll(' ', SPACE);
    const pieces = independentWords ? escaped.split(wordStart) : [escaped];
    for (const piece of pieces) for (const id of encodePiece(piece)) out.push(id);
  };
}
