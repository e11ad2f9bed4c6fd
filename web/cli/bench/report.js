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
