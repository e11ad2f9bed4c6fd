/** Random vectors, seeded, of the kinds that indexes meet. */
import { seededRandom } from './random.js';

/** @param {number} seed @returns {() => number} standard normal numbers */
export function normals(seed) {
  const random = seededRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/**
 * Vectors around a few centres, which the seed decides, as keys of a text are.
 * @param {number} seed
 * @param {number} n
 * @param {number} d
 * @param {{spread?: number, centres?: number}} [options] spread: deviation around a centre, whose own is 1
 */
export function clustered(seed, n, d, { spread = 0.3, centres = 12 } = {}) {
  const normal = normals(seed);
  const centre = Array.from({ length: centres * d }, normal);
  return Float32Array.from({ length: n * d }, (_, i) => centre[(Math.floor(i / d / 7) % centres) * d + (i % d)] + spread * normal());
}

/**
 * Vectors that drift, so that each is close to those around it: attention that is peaked, and flat beside.
 * @param {number} seed
 * @param {number} n
 * @param {number} d
 */
export function drifting(seed, n, d) {
  const out = gaussian(seed, n * d, 0.2);
  for (let i = d; i < out.length; i++) out[i] += 0.98 * out[i - d];
  return out;
}

/** @param {number} seed @param {number} length @param {number} [deviation] */
export function gaussian(seed, length, deviation = 1) {
  const normal = normals(seed);
  return Float32Array.from({ length }, () => deviation * normal());
}

/** int8 values with one scale per vector. @param {Float32Array} rows @param {number} d */
export function toInt8(rows, d) {
  const scales = Float32Array.from(
    { length: rows.length / d },
    (_, v) => Math.max(...rows.subarray(v * d, (v + 1) * d).map(Math.abs)) / 127,
  );
  return { values: Int8Array.from(rows, (x, i) => Math.round(x / scales[Math.floor(i / d)])), scales };
}

/** Length of the difference of two vectors. @param {ArrayLike<number>} x @param {ArrayLike<number>} y */
export const distance = (x, y) => Math.sqrt(Array.from(x).reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0));
