/** Copying: a passage of the text itself, from far above, is begun again, and has to go on as it did. */

export const COPYING = 'copying';

/** Tokens that are given, and that follow. */
const [CUE, ANSWER] = [16, 8];

/**
 * @param {import('./question.js').Encode} encode
 * @param {number} count passages, evenly from the beginning to the end
 * @returns {import('./question.js').Task}
 */
export function copying(encode, count) {
  const paragraph = encode('\n\n');
  return {
    plants: [],
    ask(haystack) {
      const passages = haystack.runs.filter(({ ids }) => ids.length >= CUE + ANSWER && isOnce(haystack.ids, ids.slice(0, CUE)));
      if (passages.length < count) throw new Error(`there are ${passages.length} passages of ${CUE + ANSWER} tokens, not ${count}`);
      return Array.from({ length: count }, (_, i) => {
        const { at, ids } = passages[Math.floor((i * passages.length) / count)];
        return {
          task: COPYING,
          cue: [...paragraph, ...ids.slice(0, CUE)],
          answer: ids.slice(CUE, CUE + ANSWER),
          depth: at / haystack.ids.length,
        };
      });
    },
  };
}

/** Whether nothing else begins the same way. @param {number[]} ids @param {number[]} cue */
const isOnce = (ids, cue) => ids.filter((_, at) => cue.every((id, i) => ids[at + i] === id)).length === 1;
