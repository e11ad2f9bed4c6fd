/** What attention did for the newest tokens of an answer, kept small: the keys that each KV head reported, and its exact fraction. */

/** At most so many tokens, and keys of all of them together (8 bytes each), are kept; the oldest go first. */
export const KEPT = { tokens: 256, keys: 8 << 20 };

/**
 * @typedef {{layers: number, kvHeads: number}} Shape of the model
 * @typedef {{layer?: number, kvHead?: number}} Heads undefined: all of them
 *
 * @typedef {object} Kept of one decode step
 * @property {number} index of its token in the answer
 * @property {string} text of the token that came of it
 * @property {number} position of that token in the context
 * @property {Shape} shape
 * @property {Uint32Array} from where the keys of each KV head begin below, [layers * kvHeads + 1]
 * @property {Int32Array} positions of reported keys, by KV head
 * @property {Float32Array} shares of the mass that these have, mean of the query heads
 * @property {Float32Array} exact fraction of the keys that were evaluated exactly, [layers * kvHeads]
 * @property {number} total keys that were reported: more than were kept, where the engine noted only the first ones
 */

/**
 * @param {import('../web/engine.js').Step} step
 * @param {Shape} shape
 */
function compact(step, { layers, kvHeads }) {
  const heads = layers * kvHeads;
  const reported = Array.from({ length: heads }, (_, i) => step.reported(Math.floor(i / kvHeads), i % kvHeads));
  const from = new Uint32Array(heads + 1);
  reported.forEach(({ positions }, i) => (from[i + 1] = from[i] + positions.length));
  const positions = new Int32Array(from[heads]);
  const shares = new Float32Array(from[heads]);
  reported.forEach((head, i) => {
    positions.set(head.positions, from[i]);
    const group = head.positions.length > 0 ? head.shares.length / head.positions.length : 1;
    head.shares.forEach((share, j) => (shares[from[i] + Math.floor(j / group)] += share / group));
  });
  const exact = Float32Array.from(reported, ({ layer, kvHead }) => step.stats(layer, kvHead).exactFraction);
  return { from, positions, shares, exact, total: reported.reduce((sum, { total }) => sum + total, 0) };
}

export class StepLog {
  /** The oldest first. @type {Kept[]} */
  steps = [];
  #keys = 0;

  clear() {
    this.steps = [];
    this.#keys = 0;
  }

  /** @param {import('./app.js').Token} token @param {Shape} shape */
  add({ index, text, position, step }, shape) {
    if (!step) return;
    const kept = { index, text, position, shape, ...compact(step, shape) };
    this.steps.push(kept);
    this.#keys += kept.positions.length;
    while (this.steps.length > KEPT.tokens || (this.#keys > KEPT.keys && this.steps.length > 1))
      this.#keys -= /** @type {Kept} */ (this.steps.shift()).positions.length;
  }

  /** The newest, or that of a token; the oldest, if that is not kept any more. @param {number} [index] */
  at(index) {
    if (index === undefined) return this.steps.at(-1);
    return this.steps.find((step) => step.index >= index) ?? this.steps.at(-1);
  }
}

/**
 * The share of the mass that each position has, mean of the heads that are asked for.
 * @param {Kept} kept
 * @param {number} length positions
 * @param {Heads} heads
 */
export function sharesOf({ from, positions, shares, shape }, length, { layer, kvHead }) {
  const sums = new Float32Array(length);
  let heads = 0;
  for (let i = 0; i < from.length - 1; i++) {
    if (layer !== undefined && layer !== Math.floor(i / shape.kvHeads)) continue;
    if (kvHead !== undefined && kvHead !== i % shape.kvHeads) continue;
    heads++;
    for (let j = from[i]; j < from[i + 1]; j++) sums[positions[j]] += shares[j];
  }
  for (let i = 0; i < length; i++) sums[i] /= heads;
  return sums;
}
