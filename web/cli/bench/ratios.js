/** Times of rounds in which several ways were taken in turn: their figures, and how they compare round by round. */
import { mean, median, medianAndMin, significant } from '../numbers.js';

/**
 * @typedef {{median: number, min: number}} Time ms
 * @typedef {{median: number, min: number, max: number}} Ratio over rounds
 */

/** Mean time per token of a round. @param {import('./session.js').Round} round */
export const perToken = ({ ms }) => mean(ms);

/**
 * What of one way takes of another one, within each round: a machine that slows down between rounds does not show.
 * @param {number[]} times per round
 * @param {number[]} base
 * @returns {Ratio}
 */
export function ratioOf(times, base) {
  const ratios = times.map((ms, i) => ms / base[i]);
  return { median: significant(median(ratios)), min: significant(Math.min(...ratios)), max: significant(Math.max(...ratios)) };
}

/** @param {Ratio | undefined} ratio */
export const spread = (ratio) => (ratio ? `${ratio.median} (${ratio.min}..${ratio.max})` : '');

/**
 * @param {Record<string, number[]>} times per way and round
 * @returns {Record<string, Time>}
 */
export const timesOf = (times) => Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, medianAndMin(ms)]));
