/** What selectors of keys keep of one KV head's keys, as keys come. */

/** Keys of a page, as in Quest. */
export const PAGE = 16;

/**
 * @typedef {import('./chosen.js').Step} Step
 */

/** Bounds of pages, and lengths of centred keys. */
export class KeyNotes {
  /** Bounds of the complete pages, [pages][headDim]. @type {Float32Array[]} */
  low = [];
  /** @type {Float32Array[]} */
  high = [];
  /** Mean of the keys that were there at first. @type {Float64Array | undefined} */
  mean;
  /** Distance of each key from that mean. @type {number[]} */
  distance = [];

  /** Takes in the keys that have come. @param {Step} step */
  update(step) {
    const { n, headDim } = step;
    const from = Math.min(this.low.length * PAGE, this.distance.length);
    const rows = step.keys(from, n - from);
    const row = (/** @type {number} */ position) => rows.subarray((position - from) * headDim, (position - from + 1) * headDim);
    this.mean ??= meanOf(rows, headDim);
    while (this.distance.length < n) this.distance.push(distanceOf(row(this.distance.length), this.mean));
    while ((this.low.length + 1) * PAGE <= n) {
      const page = Array.from({ length: PAGE }, (_, i) => row(this.low.length * PAGE + i));
      const bound = (/** @type {(...xs: number[]) => number} */ of) =>
        Float32Array.from(page[0], (_, d) => of(...page.map((key) => key[d])));
      this.low.push(bound(Math.min));
      this.high.push(bound(Math.max));
    }
  }

  /** Forgets what came after the first keys. @param {number} n */
  cut(n) {
    this.distance.length = Math.min(this.distance.length, n);
    this.low.length = this.high.length = Math.min(this.low.length, Math.floor(n / PAGE));
  }
}

/** @param {Float32Array} rows @param {number} d */
function meanOf(rows, d) {
  const sum = new Float64Array(d);
  rows.forEach((x, i) => (sum[i % d] += x));
  return sum.map((x) => (x * d) / rows.length);
}

/** @param {Float32Array} row @param {Float64Array} mean */
const distanceOf = (row, mean) => Math.sqrt(row.reduce((sum, x, d) => sum + (x - mean[d]) ** 2, 0));
