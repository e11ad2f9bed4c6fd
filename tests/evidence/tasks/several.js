/** Several needles of one name (RULER's NIAH with several values): all are far apart; given all but one, which is missing? */
import { depthOf } from './haystack.js';
import { distinctNumbers, firstOf, split } from './question.js';

export const SEVERAL = 'several needles';

const NAMES = ['kettle', 'violin', 'anchor', 'saddle'];
const VALUES = 3;

/**
 * @param {import('./question.js').Encode} encode
 * @param {() => number} random
 * @param {number} count names
 * @returns {import('./question.js').Task}
 */
export function several(encode, random, count) {
  const numbers = distinctNumbers(random, VALUES * count, 4);
  const groups = firstOf(NAMES, count, 'names').map((name, g) => ({ name, values: numbers.slice(VALUES * g, VALUES * (g + 1)) }));
  const planted = groups.map(({ name, values }) =>
    values.map((value, i) => ({ text: `One of the secret codes of the ${name} is ${value}.`, depth: (i + random()) / VALUES })),
  );
  return {
    plants: planted.flat(),
    ask: (haystack) =>
      groups.flatMap(({ name, values }, g) =>
        values.map((missing, i) => {
          const others = values.filter((value) => value !== missing).join(', ');
          return {
            task: SEVERAL,
            ...split(encode, `The secret codes of the ${name} are ${others} and `, missing),
            depth: depthOf(haystack, planted[g][i]),
          };
        }),
      ),
  };
}
