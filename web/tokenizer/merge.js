/**
 * Byte-pair merging, for both kinds of vocabulary: again and again the best pair of neighbours becomes one symbol, the
 * leftmost of equals, until no pair can merge. A heap of pairs makes that n log n: text without a break is no worse.
 *
 * Not @huggingface/tokenizers 0.2.0: it merges by rank only, where SentencePiece vocabularies merge by score; it takes
 * four times as long; and once its cache of words is full, every further look-up costs 27 us.
 */

/**
 * @typedef {object} Pair
 * @property {number} left offset of the left symbol
 * @property {number} right offset of the right symbol
 * @property {number} score
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
 * @param {string} text well-formed; every character starts as a symbol of its own
 * @param {(left: number, right: number, end: number) => number | undefined} scoreOf the score of merging
 *   text[left, right) with text[right, end), the highest first; undefined = never
 * @returns {string[]} the symbols that are left
 */
export function mergePairs(text, scoreOf) {
  // A symbol lives at the offset of its first character; neighbours are offsets too, -1 = none.
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
    const score = scoreOf(left, right, end);
    if (score !== undefined) queue.push({ left, right, score, size: end - left });
  };

  for (let i = 0, before = -1; i < n;) {
    lengths[i] = /** @type {number} */ (text.codePointAt(i)) > 0xffff ? 2 : 1;
    const after = i + lengths[i];
    previous[i] = before;
    next[i] = after < n ? after : -1;
    before = i;
    i = after;
  }
  for (let i = 0; i < n; i += lengths[i]) offer(i, next[i]);

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
