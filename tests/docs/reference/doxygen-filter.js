/**
 * Gives Doxygen a header of ours (INPUT_FILTER): comments become its comments, and the comment of a group of functions, which stand
 * below one another without a blank line, is that of each.
 */
import { readFile } from 'node:fs/promises';
import { argv, stdout } from 'node:process';

/** Text that Doxygen prints as it is. @param {string} text */
const plain = (text) => text.replace(/[\\@<>&#%]/g, '\\$&');

/**
 * A comment's text, in which paragraphs with lines that are set in stay as they are: lists, formulas, layouts.
 * @param {string} text
 */
const laidOut = (text) =>
  text
    .split(/(?<=\n) \*\n/)
    .map((paragraph) => {
      if (!/^ \* {3,}\S/m.test(paragraph)) return plain(paragraph);
      const [, start, lines, end] = /^(\n?)(.*?\n)( *)$/s.exec(paragraph) ?? [];
      return `${start} * @verbatim\n${lines.replaceAll(/^ \* ?/gm, '')} * @endverbatim\n${end}`;
    })
    .join(' *\n');

/** Whether a function is declared, or begins to be defined, in a line. @param {string} line */
const isFunction = (line) => /^[A-Za-z][\w *]*\b\w+\(/.test(line) && !line.startsWith('typedef');

/**
 * @param {string} header
 * @returns {string}
 */
export function filtered(header) {
  const out = [];
  const lines = header.split('\n');
  /** The comment above, once it is over, until a blank line. */
  let comment = '';
  let documented = false;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (/^\s*\/\*/.test(line)) {
      let text = line.replace(/^(\s*)\/\*/, '');
      while (!lines[i].includes('*/')) text += `\n${lines[++i]}`;
      comment = `/**${i < lines.length && out.length === 0 ? ' @file\n *' : ''}${laidOut(text.replace('*/', ''))}*/`;
      out.push(comment);
      documented = false;
      continue;
    }
    if (line.trim() === '') comment = '';
    if (isFunction(line)) {
      if (documented && comment) out.push(comment);
      documented = true;
    }
    // A comment behind something is about it; it may go on below.
    const [, before, after] = /^(.*\S.*?)\/\*(.*)$/.exec(line) ?? [];
    out.push(before === undefined ? line : `${before}/**<${plain(after.replace('*/', '')).trimEnd()} */`);
  }
  return out.join('\n');
}

if (argv[2]) stdout.write(filtered(await readFile(argv[2], 'utf8')));
