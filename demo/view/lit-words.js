/** The words of a document as elements that can be lit. */
import { element } from '../element.js';
import { pause } from './dom.js';

/** Shares of the mass from which words are lit, each level brighter than the one before. */
export const LEVELS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1];
const SLICE = 400;
const BLOCK = 80;

/** @param {number} share 0: not lit */
export function levelOf(share) {
  let level = 0;
  while (level < LEVELS.length && share >= LEVELS[level]) level++;
  return level;
}

/** @typedef {{text: string, from: number, end: number}} Word tokens from..end-1 of the document */

/**
 * Tokens as words to show: one that ends inside a character goes with those that complete it.
 * @param {string[]} texts of tokens
 * @returns {Word[]}
 */
export function wordsOf(texts) {
  /** @type {Word[]} */
  const words = [];
  let from = 0;
  texts.forEach((text, i) => {
    if (text === '') return;
    words.push({ text, from, end: i + 1 });
    from = i + 1;
  });
  if (words.length > 0) words[words.length - 1].end = texts.length;
  return words;
}

export class LitWords {
  /** @type {HTMLElement[]} */
  elements = [];
  /** @type {Word[]} */
  words = [];
  /** Of each word, as last shown. */
  shares = new Float32Array();
  #levels = new Uint8Array();
  #box;
  #turn = 0;

  /** @param {HTMLElement} box that the words go into */
  constructor(box) {
    this.#box = box;
  }

  clear() {
    this.#turn++;
    this.words = this.elements = [];
    this.shares = new Float32Array();
    this.#levels = new Uint8Array();
    this.#box.replaceChildren();
  }

  /**
   * Builds the elements, in slices that leave the page responsive.
   * @param {string[]} texts of the document's tokens
   * @returns {Promise<boolean>} false: cleared meanwhile
   */
  async fill(texts) {
    this.clear();
    const turn = this.#turn;
    const words = wordsOf(texts);
    const elements = words.map(({ text }) => element('span', { textContent: text }));
    for (let at = 0; at < words.length;) {
      const end = Math.min(words.length, at + SLICE);
      while (at < end) at = this.#addBlock(words, elements, at);
      await pause();
      if (turn !== this.#turn) return false;
    }
    this.words = words;
    this.elements = elements;
    this.shares = new Float32Array(words.length);
    this.#levels = new Uint8Array(words.length);
    return true;
  }

  /**
   * A block ends with a line, so that blocks one below the other look like text that was never cut.
   * @param {Word[]} words @param {HTMLElement[]} elements @param {number} from
   * @returns {number} where the next one begins
   */
  #addBlock(words, elements, from) {
    let end = Math.min(words.length, from + BLOCK);
    while (end < words.length && !words[end - 1].text.endsWith('\n')) end++;
    this.#box.append(element('div', {}, ...elements.slice(from, end)));
    return end;
  }

  /** @param {Float32Array} shares of the document's tokens */
  light(shares) {
    this.words.forEach(({ from, end }, i) => {
      let share = shares[from];
      for (let token = from + 1; token < end; token++) share += shares[token];
      this.shares[i] = share;
      const level = levelOf(share);
      if (level === this.#levels[i]) return;
      this.#levels[i] = level;
      this.elements[i].className = level > 0 ? `lit-${level}` : '';
    });
  }

  /** Words with the most mass, the first the most. @param {number} count */
  brightest(count) {
    /** @type {number[]} */
    const best = [];
    this.shares.forEach((share, i) => {
      if (share <= 0 || (best.length === count && share <= this.shares[/** @type {number} */ (best.at(-1))])) return;
      const at = best.findIndex((other) => this.shares[other] < share);
      best.splice(at < 0 ? best.length : at, 0, i);
      if (best.length > count) best.pop();
    });
    return best;
  }

  /** A word with a few around it. @param {number} index */
  around(index) {
    const text = (/** @type {number} */ from, /** @type {number} */ end) =>
      this.words
        .slice(Math.max(0, from), end)
        .map((word) => word.text)
        .join('')
        .replace(/\s+/g, ' ');
    return { before: text(index - 3, index), word: text(index, index + 1), after: text(index + 1, index + 4) };
  }
}
