/** The r keys of the largest products, part of `bench attention`: our index against hnswlib-wasm, both in Chromium. */
import { percent, significant } from '../numbers.js';
import { checkout } from './checkout.js';

const R = 64;
/** Keys that hnswlib looks at. */
const EFS = [64, 128, 256];
/** Keys up to which it takes part: it takes seconds to build. */
const MOST = 2 ** 15;

/**
 * @typedef {import('./keys.js').Source} Source
 *
 * @typedef {object} Top how a way finds the r keys of the largest products
 * @property {string} name
 * @property {number} median ms per query
 * @property {number} min
 * @property {number} buildMs
 * @property {number} recall share of the r keys that are found
 * @property {number} mass softmax mass of the keys that are found
 * @property {number} massOfBest the same as a share of the mass of the r keys
 * @property {number} leastMassOfBest of the worst query
 */

/**
 * The queries of the first KV head, one by one.
 * @param {Source} source
 * @param {number[]} sizes
 * @param {Map<string, string>} versions
 * @returns {Promise<{n: number, ways: Top[]}[]>}
 */
export async function topKeys({ headDim, kvHeads, queries, rows }, sizes, versions) {
  const width = queries[0].length / kvHeads;
  const first = (/** @type {Float32Array} */ all, /** @type {number} */ stride, /** @type {number} */ length) =>
    Array.from({ length: all.length / stride }, (_, i) => all.subarray(i * stride, i * stride + length));
  const joined = (/** @type {Float32Array[]} */ parts, /** @type {number} */ size) => {
    const all = new Float32Array(parts.length * size);
    parts.forEach((part, i) => all.set(part, i * size));
    return all;
  };
  const within = sizes.filter((n) => n <= MOST);
  const tasks = within.map((n) => ({
    headDim,
    keys: joined(
      Array.from(rows(n)).flatMap(({ keys }) => first(keys, kvHeads * headDim, headDim)),
      headDim,
    ),
    queries: joined(
      queries.map((q) => q.subarray(0, width)),
      width,
    ),
  }));
  const { version, results } = await (await checkout()).hnswTop(tasks, { r: R, efs: EFS });
  versions.set('hnswlib-wasm', version);
  return results.map((ways, i) => ({ n: within[i], ways }));
}

/** @param {import('./report.js').Report} report @param {{n: number, ways: Top[]}[]} rows */
export function describeTop(report, rows) {
  report.text(
    `\nThe ${R} keys of the largest products of one KV head, in Chromium: ms per query (HsrIndex is exact for its 8-bit keys); softmax mass of the keys that are found, and as a share of the mass of the right ones`,
  );
  report.table(
    ['keys', 'index', 'median', 'min', 'build ms', 'recall %', 'mass %', 'of the right mass %', 'least %'],
    rows.flatMap(({ n, ways }) =>
      ways.map((way) => [
        n,
        way.name,
        significant(way.median),
        significant(way.min),
        significant(way.buildMs),
        percent(way.recall),
        percent(way.mass),
        percent(way.massOfBest),
        percent(way.leastMassOfBest),
      ]),
    ),
  );
}
