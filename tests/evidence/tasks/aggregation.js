/**
 * Words by how often they were said (RULER's frequent words): what someone bought most often. No sentence holds the answer, it is
 * spread over all of them, the more the longer the text; attention to a few keys sees a few of the votes.
 */
import { firstOf, shuffled, split } from './question.js';

export const AGGREGATION = 'aggregation';

const PEOPLE = 'Anna Peter Maria Simon Helen Oscar Ruth Victor Clara Hugo Irene Martin'.split(' ');
const THINGS = 'tea bread cheese honey apples soup butter rice'.split(' ');
/** Of the most frequent, and of the next; what is left goes to the others. */
const SHARES = [0.5, 0.25];

/**
 * @param {import('./question.js').Encode} encode
 * @param {() => number} random
 * @param {number} count people
 * @param {number} each sentences of each
 * @returns {import('./question.js').Task}
 */
export function aggregation(encode, random, count, each) {
  const votes = firstOf(PEOPLE, count, 'people').map((person) => {
    const [most, next, ...others] = shuffled(random, THINGS);
    const [first, second] = SHARES.map((share) => Math.round(share * each));
    const bought = Array.from({ length: each }, (_, i) => (i < first ? most : i < first + second ? next : others[i % others.length]));
    const plants = shuffled(random, bought).map((thing, i) => ({ text: `${person} bought ${thing}.`, depth: (i + random()) / each }));
    return { person, most, plants };
  });
  return {
    plants: votes.flatMap(({ plants }) => plants),
    ask: () => votes.map(({ person, most }) => ({ task: AGGREGATION, ...split(encode, `${person} bought`, ` ${most}`), depth: 0 })),
  };
}
