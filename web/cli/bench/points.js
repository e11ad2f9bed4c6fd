/** Keys of low dimension and the queries that are asked of them. */
import { createRandom } from '../../generation/sampler.js';
import { normals } from './keys.js';

/**
 * @typedef {object} Points
 * @property {string} name
 * @property {(n: number, d: number) => Float32Array} keys [n][d], the same at every call
 * @property {(count: number, d: number) => Float32Array[]} queries
 */

/**
 * Normal rows, each scaled.
 * @param {number} n
 * @param {number} d
 * @param {(length: number, random: () => number) => number} scale of a row of this length
 */
function rows(n, d, scale) {
  const [normal, random] = [normals(n), createRandom(n)];
  const out = Float32Array.from({ length: n * d }, normal);
  for (let at = 0; at < out.length; at += d) {
    const factor = scale(Math.hypot(...out.subarray(at, at + d)), random);
    for (let i = at; i < at + d; i++) out[i] *= factor;
  }
  return out;
}

/** In all directions. @type {Points['queries']} */
export function randomQueries(count, d) {
  const normal = normals(1);
  return Array.from({ length: count }, () => Float32Array.from({ length: d }, normal));
}

/** @param {number} n @param {number} d */
export const gaussianKeys = (n, d) => rows(n, d, () => 1);

/** @type {Points[]} */
export const POINTS = [
  { name: 'ball', keys: (n, d) => rows(n, d, (length, random) => random() ** (1 / d) / length), queries: randomQueries },
  { name: 'Gaussian', keys: gaussianKeys, queries: randomQueries },
  { name: 'sphere', keys: (n, d) => rows(n, d, (length) => 1 / length), queries: randomQueries },
  {
    // The tree's hard case: many keys lie as close to the hyperplane as those that are reported.
    name: 'cube face',
    keys: (n, d) => Float32Array.from({ length: n * d }, createRandom(n)),
    queries: (count, d) =>
      Array.from({ length: count }, (_, i) => new Float32Array(d).fill(i % 2 ? -1 : 1, (i >> 1) % d, ((i >> 1) % d) + 1)),
  },
];
