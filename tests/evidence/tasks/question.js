/** What a task is made of. */

/**
 * @typedef {import('./haystack.js').Encode} Encode
 * @typedef {import('./haystack.js').Plant} Plant
 * @typedef {import('./haystack.js').Haystack} Haystack
 *
 * @typedef {object} Question a text to be continued after the haystack
 * @property {string} task
 * @property {number[]} cue ids
 * @property {number[]} answer ids
 * @property {number} depth of what is asked for, 0 to 1; of the first where there are several
 *
 * @typedef {object} Task
 * @property {Plant[]} plants
 * @property {(haystack: Haystack) => Question[]} ask once the plants are in
 */

/** Apart from what was read: a new paragraph. */
const PARAGRAPH = '\n\n';

/**
 * @param {Encode} encode
 * @param {string} cue
 * @param {string} answer
 */
export function split(encode, cue, answer) {
  const before = encode(PARAGRAPH + cue);
  const all = encode(PARAGRAPH + cue + answer);
  if (before.some((id, i) => all[i] !== id)) throw new Error(`'${cue}' does not end at a token before '${answer}'`);
  return { cue: before, answer: all.slice(before.length) };
}

/**
 * Numbers of so many digits, all different.
 * @param {() => number} random
 * @param {number} count
 * @param {number} digits
 */
export function distinctNumbers(random, count, digits) {
  const least = 10 ** (digits - 1);
  /** @type {Set<number>} */
  const numbers = new Set();
  while (numbers.size < count) numbers.add(least + Math.floor(random() * 9 * least));
  return [...numbers].map(String);
}

/** @template T @param {() => number} random @param {T[]} items @returns {T[]} */
export function shuffled(random, items) {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

/** @template T @param {T[]} items @param {number} count @param {string} what @returns {T[]} */
export function firstOf(items, count, what) {
  if (count > items.length) throw new Error(`there are ${items.length} ${what}, not ${count}`);
  return items.slice(0, count);
}
