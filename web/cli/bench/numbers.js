/** Figures of benches, in any runtime. */

/** @param {number} share @param {number} [digits] */
export const percent = (share, digits = 2) => String(Number((100 * share).toFixed(digits)));

/** Times and errors span orders of magnitude. @param {number} x @param {number} [digits] */
export const significant = (x, digits = 3) => Number(x.toPrecision(digits));

/** @param {number[]} values */
export const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

/** @param {number[]} values */
export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
