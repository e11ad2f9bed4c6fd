/** Needles (RULER's NIAH with several keys, arXiv 2404.06654): a number by the name that it was given, each at its own depth. */
import { depthOf } from './haystack.js';
import { distinctNumbers, firstOf, shuffled, split } from './question.js';

export const NEEDLE = 'needle';

const NAMES = 'cloud river candle button garden pepper window pencil bottle basket hammer mirror ladder carpet engine pocket'.split(' ');

const cueOf = (/** @type {string} */ name) => `The special magic number for ${name} is `;

/**
 * @param {import('./question.js').Encode} encode
 * @param {() => number} random
 * @param {number} count needles, evenly from the beginning to the end
 * @returns {import('./question.js').Task}
 */
export function needles(encode, random, count) {
  const names = shuffled(random, firstOf(NAMES, count, 'names'));
  const numbers = distinctNumbers(random, count, 5);
  const plants = names.map((name, i) => ({ text: `${cueOf(name)}${numbers[i]}.`, depth: count > 1 ? i / (count - 1) : 0.5 }));
  return {
    plants,
    ask: (haystack) =>
      names.map((name, i) => ({ task: NEEDLE, ...split(encode, cueOf(name), numbers[i]), depth: depthOf(haystack, plants[i]) })),
  };
}
