/** Numbers as they are shown, and what is taken of many. */

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** @param {number} value */
export const count = (value) => NUMBER.format(value);

/** @param {number} bytes */
export const megabytes = (bytes) => (bytes < 1e6 ? `${count(Math.max(1, bytes / 1e3))} kB` : `${count(bytes / 1e6)} MB`);

/** Two or three digits that count. @param {number} x */
export const short = (x) => (x === 0 ? '0' : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x >= 0.1 ? x.toFixed(2) : x.toPrecision(2));

/** What is less than a tenth of the least that is lit is nothing. @param {number} share */
export const percent = (share) => `${short(share < 3e-5 ? 0 : 100 * share)} %`;

/** Text in quotes, with white space to be seen. @param {string} text */
export const quoted = (text) => `“${text.replace(/\n/g, '↵').trim() || '␣'}”`;

/** @param {number[]} values */
export const mean = (values) => (values.length > 0 ? values.reduce((sum, x) => sum + x, 0) / values.length : 0);

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length === 0 ? 0 : sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
