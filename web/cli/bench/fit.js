/** Curves through measurements. */
import { mean, round } from '../numbers.js';

/**
 * a and b of the line a + b x that fits y best, by least squares.
 * @param {{x: number, y: number, weight: number}[]} points
 * @returns {{a: number, b: number}} NaN where all are at one x
 */
function line(points) {
  const total = points.reduce((sum, { weight }) => sum + weight, 0);
  const over = (/** @type {(point: {x: number, y: number}) => number} */ pick) =>
    points.reduce((sum, point) => sum + point.weight * pick(point), 0) / total;
  const [x0, y0] = [over(({ x }) => x), over(({ y }) => y)];
  const [cross, square] = [over(({ x, y }) => (x - x0) * (y - y0)), over(({ x }) => (x - x0) ** 2)];
  const b = cross / square;
  return { a: y0 - b * x0, b };
}

/** @typedef {{n: number, value: number}} Point a value above 0, measured with n keys */

/** @param {Point[]} points @param {(n: number) => number} model root of the mean square of its relative errors */
const relativeRms = (points, model) => Math.sqrt(mean(points.map(({ n, value }) => (model(n) / value - 1) ** 2)));

/**
 * The power of n that fits best, by least squares of the logarithms.
 * @param {Point[]} points
 * @returns {{exponent: number, rms: number}} NaN with fewer than two sizes
 */
export function fitPower(points) {
  const fit = line(points.map(({ n, value }) => ({ x: Math.log(n), y: Math.log(value), weight: 1 })));
  return { exponent: round(fit.b, 3), rms: relativeRms(points, (n) => Math.exp(fit.a) * n ** fit.b) };
}

/**
 * How well a + b curve(n) fits, with the a and b of the least relative errors.
 * @param {Point[]} points
 * @param {(n: number) => number} curve
 * @returns {number} root of their mean square; NaN with fewer than two sizes
 */
export function fitCurve(points, curve) {
  const fit = line(points.map(({ n, value }) => ({ x: curve(n), y: value, weight: 1 / value ** 2 })));
  return relativeRms(points, (n) => fit.a + fit.b * curve(n));
}
