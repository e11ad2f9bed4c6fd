/** Figures of commands, in any runtime. */

/** @param {number} share @param {number} [digits] */
export const percent = (share, digits = 2) => String(round(100 * share, digits));

/** Times and errors span orders of magnitude. @param {number} x @param {number} [digits] */
export const significant = (x, digits = 3) => Number(x.toPrecision(digits));

/** @param {number[]} values */
export const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

/** @param {number[]} values */
export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** 0 of nothing. @param {number[]} values */
export function medianAndMin(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: round(sorted[sorted.length >> 1] ?? 0), min: round(sorted[0] ?? 0) };
}

/** @param {number} x @param {number} [digits] */
export function round(x, digits = 2) {
  return Number(x.toFixed(digits));
}
