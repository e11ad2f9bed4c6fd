/** Variable tracking (RULER): a value, variables that are set to it one after the other, and what stands for each. */
import { depthOf } from './haystack.js';
import { distinctNumbers, firstOf, split } from './question.js';

export const VALUE = 'variable: value';
export const LINK = 'variable: link';
export const TRACKED = 'variable: value through links';

const NAMES = [
  ['KITE', 'LAMP', 'ROPE'],
  ['FROG', 'DESK', 'MOON'],
  ['BELL', 'CORN', 'SHIP'],
  ['WOLF', 'NAIL', 'TENT'],
];

/**
 * @param {import('./question.js').Encode} encode
 * @param {() => number} random
 * @param {number} count chains
 * @returns {import('./question.js').Task}
 */
export function variables(encode, random, count) {
  const numbers = distinctNumbers(random, count, 5);
  const chains = firstOf(NAMES, count, 'chains').map((names, c) =>
    names.map((name, i) => {
      const [cue, answer] = i === 0 ? [`VAR ${name} = `, numbers[c]] : [`VAR ${name} =`, ` VAR ${names[i - 1]}`];
      return { cue, answer, task: i === 0 ? VALUE : LINK, plant: { text: `${cue}${answer}.`, depth: (i + random()) / names.length } };
    }),
  );
  const all = chains.flat();
  return {
    plants: all.map(({ plant }) => plant),
    ask: (haystack) => [
      ...all.map(({ task, cue, answer, plant }) => ({ task, ...split(encode, cue, answer), depth: depthOf(haystack, plant) })),
      ...chains.map(([{ plant }], c) => ({
        task: TRACKED,
        ...split(encode, `VAR ${NAMES[c].at(-1)} = `, numbers[c]),
        depth: depthOf(haystack, plant),
      })),
    ],
  };
}
