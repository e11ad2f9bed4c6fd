/** One section of the evidence: what it found, in words, tables and charts, kept as data until it is written. */
import { tableText } from '../../web/cli/bench/report.js';

/**
 * @typedef {{kind: 'text', text: string} | {kind: 'table', title: string, head: string[], rows: (string | number)[][]}
 *   | {kind: 'chart', title: string, svg: string}} Part
 *
 * @typedef {object} Found a section as it is kept in build/evidence/<name>.json
 * @property {string} name
 * @property {string} title
 * @property {string} command that made it
 * @property {string} date
 * @property {string} where machine, runtime, build
 * @property {string[]} against what this section says against us, each a sentence
 * @property {Part[]} parts
 *
 * @typedef {object} Setting what a section is told
 * @property {boolean} quick minutes for all sections, instead of hours: fewer sizes, tokens and repeats; the same code
 * @property {string} model path of a GGUF file
 * @property {string} file a text, of English
 * @property {'relaxed' | 'simd'} [variant] default what this runtime can
 * @property {(text: string) => void} log one line of progress
 */

export class Section {
  /** @type {Part[]} */
  parts = [];
  /** @type {string[]} */
  #against = [];

  get against() {
    return this.#against;
  }

  /** @param {string} text a paragraph of Markdown */
  text(text) {
    this.parts.push({ kind: 'text', text });
  }

  /**
   * Written as CSV too.
   * @param {string} title
   * @param {string[]} head
   * @param {(string | number)[][]} rows
   */
  table(title, head, rows) {
    this.parts.push({ kind: 'table', title, head, rows });
  }

  /** @param {string} title @param {string} svg of web/cli/bench/chart.js */
  chart(title, svg) {
    this.parts.push({ kind: 'chart', title, svg });
  }

  /**
   * What these figures say against the paper's or our claims: listed first in the summary. Computed from the figures, so that it goes
   * when they change.
   * @param {string} sentence
   */
  says(sentence) {
    this.#against.push(sentence);
  }
}

/** @param {string} cell */
const csvCell = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** RFC 4180. @param {string[]} head @param {(string | number)[][]} rows */
export const csv = (head, rows) => [head, ...rows].map((row) => `${row.map((cell) => csvCell(String(cell))).join(',')}\r\n`).join('');

/**
 * @param {Found} found
 * @param {(file: string) => string} [chart] where the chart of this file name lies, as Markdown; default beside
 */
export function markdown(found, chart = (file) => `![](${file})`) {
  const files = fileNames(found);
  return found.parts
    .map((part, i) => {
      if (part.kind === 'text') return `${part.text}\n`;
      if (part.kind === 'table') return `**${part.title}**\n\n${tableText(part.head, part.rows).markdown}`;
      return `${part.title}: ${chart(files[i])}\n`;
    })
    .join('\n');
}

/** Names of the files of tables and charts, by part. @param {Found} found @returns {string[]} '' for text */
export function fileNames({ name, parts }) {
  const extension = { text: '', table: 'csv', chart: 'svg' };
  return parts.map(({ kind }, i) => {
    if (kind === 'text') return '';
    const number = parts.slice(0, i + 1).filter((part) => part.kind === kind).length;
    return `${name}-${number}.${extension[kind]}`;
  });
}
