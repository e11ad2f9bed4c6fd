/** Times of ways to do the same, taken in turn, and how far their outputs are from a reference. */
import { median } from '../numbers.js';

/** What a median needs at least. */
const LEAST_MS = 50;
const LEAST_PASSES = 3;

/**
 * Every step is done in each way before the next one, so that a machine that slows down slows all of them. What is fast goes
 * on until it has taken LEAST_MS. Promises are waited for.
 * @param {Record<string, (step: number) => unknown>} ways
 * @param {number} steps
 * @returns {Promise<Record<string, {median: number, min: number, calls: number}>>} milliseconds
 */
export async function timeInTurn(ways, steps) {
  const all = Object.entries(ways).map(([name, run]) => ({ name, run, ms: /** @type {number[]} */ ([]), taken: 0 }));
  for (let left = all, pass = 1; left.length > 0; pass++) {
    for (let step = 0; step < steps; step++) {
      for (const way of left) {
        const began = performance.now();
        const result = way.run(step);
        if (result instanceof Promise) await result;
        const ms = performance.now() - began;
        way.ms.push(ms);
        way.taken += ms;
      }
    }
    left = left.filter(({ taken }) => pass < LEAST_PASSES || taken < LEAST_MS);
  }
  return Object.fromEntries(all.map(({ name, ms }) => [name, { median: median(ms), min: Math.min(...ms), calls: ms.length }]));
}

/**
 * Mean over heads of |output - reference| / |reference|.
 * @param {ArrayLike<number>} output [heads][headDim]
 * @param {ArrayLike<number>} reference
 * @param {number} headDim
 */
export function relativeError(output, reference, headDim) {
  let sum = 0;
  for (let at = 0; at < reference.length; at += headDim) {
    let [error, length] = [0, 0];
    for (let i = at; i < at + headDim; i++) {
      error += (output[i] - reference[i]) ** 2;
      length += reference[i] ** 2;
    }
    sum += Math.sqrt(error / length);
  }
  return sum / (reference.length / headDim);
}
