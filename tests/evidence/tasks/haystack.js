/** A haystack: real text of a given number of tokens, with sentences planted between its own at given depths. */

/**
 * @typedef {(text: string) => number[]} Encode a text that follows another, without special tokens
 *
 * @typedef {object} Plant
 * @property {string} text a sentence, without space around
 * @property {number} depth 0 (first) to 1 (last)
 *
 * @typedef {object} Placed
 * @property {Plant} plant
 * @property {number} at its first token
 * @property {number} tokens
 *
 * @typedef {object} Haystack
 * @property {number[]} ids
 * @property {Placed[]} placed in the order of the text
 * @property {{at: number, ids: number[]}[]} runs of the real text between plants
 * @property {number} used sentences of the real text
 */

/** White space as single spaces, cut behind the ends of sentences. @param {string} text */
export const sentencesOf = (text) =>
  text
    .replaceAll('_', '')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.!?]['"’”)]?) (?=[A-Z'"‘“(])/);

/**
 * Plants stand where the text between them lets them, half a sentence away from their depth at most, unless they have to queue.
 * @param {Encode} encode
 * @param {string[]} sentences
 * @param {Plant[]} plants
 * @param {number} length tokens of the whole; the last sentence is cut to fit
 * @returns {Haystack}
 */
export function buildHaystack(encode, sentences, plants, length) {
  const queue = plants.toSorted((a, b) => a.depth - b.depth).map((plant) => ({ plant, ids: encode(` ${plant.text}`) }));
  let reserved = queue.reduce((sum, { ids }) => sum + ids.length, 0);
  if (reserved > length) throw new Error(`${plants.length} planted sentences have ${reserved} tokens, the haystack ${length}`);
  /** @type {Haystack} */
  const haystack = { ids: [], placed: [], runs: [], used: 0 };
  const plantUntil = (/** @type {number} */ position) => {
    while (queue.length > 0 && queue[0].plant.depth * (length - queue[0].ids.length) <= position) {
      const [{ plant, ids }] = queue.splice(0, 1);
      haystack.placed.push({ plant, at: haystack.ids.length, tokens: ids.length });
      haystack.ids.push(...ids);
      reserved -= ids.length;
    }
  };
  while (haystack.ids.length + reserved < length) {
    if (haystack.used === sentences.length) throw new Error(`the text ends ${length - haystack.ids.length - reserved} tokens too early`);
    const sentence = encode(` ${sentences[haystack.used++]}`);
    plantUntil(haystack.ids.length + sentence.length / 2);
    addText(haystack, sentence.slice(0, length - haystack.ids.length - reserved));
  }
  plantUntil(length);
  return haystack;
}

/** @param {Haystack} haystack @param {number[]} sentence ids */
function addText({ ids, runs }, sentence) {
  const last = runs.at(-1);
  if (last && last.at + last.ids.length === ids.length) last.ids.push(...sentence);
  else runs.push({ at: ids.length, ids: [...sentence] });
  ids.push(...sentence);
}

/** Where a sentence came to stand, 0 to 1. @param {Haystack} haystack @param {Plant} plant */
export function depthOf({ ids, placed }, plant) {
  const { at, tokens } = /** @type {Placed} */ (placed.find((place) => place.plant === plant));
  return at / (ids.length - tokens);
}
