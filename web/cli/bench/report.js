/** How benches report: where they ran, tables and charts, on the terminal and in files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';

import { printJson } from '../common.js';

/** This process. @returns {string} */
function processName() {
  const { bun, deno, node } = /** @type {Record<string, string | undefined>} */ (process.versions);
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
}

/**
 * Where figures come from.
 * @param {'relaxed' | 'simd'} variant
 * @param {{runtime?: string, peers?: Record<string, string>[], threads?: number}} [where] runtime: a page's browser; default this
 *   process; threads: default one
 */
export function environment(variant, { runtime = processName(), peers = [], threads = 1 } = {}) {
  return {
    variant,
    threads,
    runtime,
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), platform: process.platform, arch: process.arch },
    peers,
  };
}

/** @typedef {ReturnType<typeof environment>} Environment */

/** What readers call the variants. */
export const SIMD = { simd: 'SIMD128', relaxed: 'relaxed SIMD' };

/**
 * A table as text and as Markdown.
 * @param {string[]} head
 * @param {(string | number)[][]} rows
 */
export function tableText(head, rows) {
  const lines = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const aligned = lines.map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))));
  const ruler = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(Math.max(1, width - 1))}:`));
  const bars = [aligned[0], ruler, ...aligned.slice(1)].map((cells) => `| ${cells.join(' | ')} |`);
  return { plain: aligned.map((cells) => cells.join('  ').trimEnd()).join('\n'), markdown: `${bars.join('\n')}\n` };
}

/** Lines, tables and charts in the order they came. */
export class Report {
  /** @type {{plain: string, markdown: string}[]} */
  #parts = [];
  /** @type {{name: string, svg: string}[]} */
  #charts = [];

  /** @param {string} name of the files @param {Environment} environment */
  constructor(name, { variant, threads, runtime, machine, peers }) {
    this.name = name;
    this.text(
      `${SIMD[variant]}, ${threads === 1 ? 'one thread' : `${threads} threads`} of ${machine.cores}, ${machine.cpu}, ${machine.platform} ${machine.arch}, ${runtime}`,
    );
    for (const { name: peer, ...about } of peers) this.text(`${peer}: ${Object.values(about).join(', ')}`);
  }

  /** @param {string} text of one or more lines */
  text(text) {
    this.#parts.push({ plain: text, markdown: `${text.trim().replaceAll('\n', '  \n').replaceAll('*', '\\*')}\n` });
  }

  /**
   * The first column to the left, others to the right, each as wide as it needs to be.
   * @param {string[]} head
   * @param {(string | number)[][]} rows
   */
  table(head, rows) {
    this.#parts.push(tableText(head, rows));
  }

  /**
   * Goes into files alone.
   * @param {string} title
   * @param {string} svg
   */
  chart(title, svg) {
    const name = `${this.name}${this.#charts.length > 0 ? `-${this.#charts.length + 1}` : ''}.svg`;
    this.#charts.push({ name, svg });
    this.#parts.push({ plain: '', markdown: `![${title}](${name})\n` });
  }

  /**
   * To stdout, and to files where a folder is given.
   * @param {object} result the same as data
   * @param {{json?: boolean, out?: string}} options
   */
  async publish(result, { json, out }) {
    const plain = this.#parts.map((part) => part.plain).filter((part) => part !== '');
    if (json) printJson(result);
    else process.stdout.write(`${plain.join('\n')}\n`);
    if (out === undefined) return;
    await mkdir(out, { recursive: true });
    await writeFile(join(out, `${this.name}.json`), `${JSON.stringify(result, null, 1)}\n`);
    await writeFile(join(out, `${this.name}.md`), `# bench ${this.name}\n\n${this.#parts.map((part) => part.markdown).join('\n')}`);
    for (const { name, svg } of this.#charts) await writeFile(join(out, name), svg);
  }
}
