/** What attention did in a step (Step of engine.js), as plain data: in the core it is there only until the next step. */
import { checkInteger } from '../checks.js';

/**
 * @typedef {{layers: number, kvHeads: number}} Shape
 * @typedef {object} StepData
 * @property {import('../attention/params.js').AttentionStats[]} stats [1 + layers][1 + kvHeads], the first of each: all
 * @property {import('../generation/context.js').Reported[]} reported [layers][kvHeads], empty where nothing is watched
 */

/** @param {Shape} shape @param {number} layer @param {number} kvHead */
const statsAt = ({ kvHeads }, layer, kvHead) => (layer + 1) * (kvHeads + 1) + kvHead + 1;

/**
 * @param {import('../engine.js').Step} step
 * @param {Shape} shape
 * @returns {StepData}
 */
export function stepData(step, shape) {
  const from = (/** @type {number} */ least, /** @type {number} */ n) => Array.from({ length: n - least }, (_, i) => least + i);
  const { layers, kvHeads } = shape;
  return {
    stats: from(-1, layers).flatMap((layer) => from(-1, kvHeads).map((kvHead) => step.stats(layer, kvHead))),
    reported: from(0, layers).flatMap((layer) => from(0, kvHeads).map((kvHead) => step.reported(layer, kvHead))),
  };
}

/**
 * @param {StepData} data
 * @param {Shape} shape
 * @returns {import('../engine.js').Step}
 */
export function stepOf({ stats, reported }, shape) {
  const { layers, kvHeads } = shape;
  return {
    stats: (layer = -1, kvHead = -1) =>
      stats[statsAt(shape, checkInteger('layer', layer, -1, layers - 1), checkInteger('kvHead', kvHead, -1, kvHeads - 1))],
    reported: (layer, kvHead) =>
      reported[checkInteger('layer', layer, 0, layers - 1) * kvHeads + checkInteger('kvHead', kvHead, 0, kvHeads - 1)],
  };
}
