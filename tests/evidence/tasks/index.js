/** All tasks in one haystack, each with its questions. */
import { aggregation, AGGREGATION } from './aggregation.js';
import { copying, COPYING } from './copying.js';
import { buildHaystack } from './haystack.js';
import { needles, NEEDLE } from './needles.js';
import { several, SEVERAL } from './several.js';
import { LINK, TRACKED, VALUE, variables } from './variables.js';

export { NEEDLE };

export const TASKS = [NEEDLE, SEVERAL, VALUE, LINK, TRACKED, AGGREGATION, COPYING];

/**
 * @typedef {object} Counts
 * @property {number} needles
 * @property {number} several names of several needles
 * @property {number} chains of variables
 * @property {number} people who buy
 * @property {number} votes sentences on each of them
 * @property {number} passages to copy
 */

/**
 * @param {import('./haystack.js').Encode} encode
 * @param {() => number} random
 * @param {string[]} sentences of a real text
 * @param {number} length tokens
 * @param {Counts} counts
 */
export function allTasks(encode, random, sentences, length, counts) {
  const tasks = [
    needles(encode, random, counts.needles),
    several(encode, random, counts.several),
    variables(encode, random, counts.chains),
    aggregation(encode, random, counts.people, counts.votes),
    copying(encode, counts.passages),
  ];
  const plants = tasks.flatMap((task) => task.plants);
  const haystack = buildHaystack(encode, sentences, plants, length);
  return { haystack, questions: tasks.flatMap((task) => task.ask(haystack)) };
}
