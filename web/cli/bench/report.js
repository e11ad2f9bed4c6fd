/** How benches report: where they ran, and tables. */
import { availableParallelism, cpus } from 'node:os';

import { round } from '../common.js';

/** Where figures come from. @param {'relaxed' | 'simd'} variant */
export function environment(variant) {
  return {
    variant,
    threads: 1,
    node: process.version,
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), platform: process.platform, arch: process.arch },
  };
}

/** The same in one line. @param {ReturnType<typeof environment>} environment */
export function printEnvironment({ variant, node, machine }) {
  process.stdout.write(
    `${variant} SIMD, one thread of ${machine.cores}, ${machine.cpu}, ${machine.platform} ${machine.arch}, Node ${node}\n`,
  );
}

/**
 * The first column to the left, others to the right, each as wide as it needs to be.
 * @param {string[]} head
 * @param {(string | number)[][]} rows
 */
export function printTable(head, rows) {
  const lines = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  for (const line of lines) {
    const cells = line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])));
    process.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  }
}

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
