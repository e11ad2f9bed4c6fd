/** Documents as a parser of Markdown sees them. */
import { readFile } from 'node:fs/promises';

import { marked } from 'marked';

/**
 * @typedef {object} Block of code
 * @property {'block'} kind
 * @property {string} lang first word of its info string; '' where there is none
 * @property {string} [title] of the info string: the file that it is, or continues
 * @property {boolean} server the last command runs until it is stopped
 * @property {string} text
 *
 * @typedef {Block | {kind: 'span' | 'comment', text: string}} Part inline code and comments of HTML beside blocks
 */

/** @param {import('marked').Tokens.Code} token @returns {Block} */
function blockOf({ lang = '', text }) {
  const [name = '', ...words] = lang.split(/\s+/);
  const [, title] = /title="([^"]+)"/.exec(lang) ?? [];
  return { kind: 'block', lang: name, title, server: words.includes('server'), text };
}

/**
 * @param {string} markdown
 * @returns {Part[]} in their order
 */
export function parseMarkdown(markdown) {
  /** @type {Part[]} */
  const parts = [];
  marked.walkTokens(marked.lexer(markdown), (token) => {
    if (token.type === 'code') parts.push(blockOf(/** @type {import('marked').Tokens.Code} */ (token)));
    if (token.type === 'codespan') parts.push({ kind: 'span', text: token.text.replaceAll(/\s+/g, ' ') });
    if (token.type === 'html') parts.push({ kind: 'comment', text: token.text });
  });
  return parts;
}

/** @param {string | URL} path */
export const readMarkdown = async (path) => parseMarkdown(await readFile(path, 'utf8'));

/** @param {Part[]} parts */
export const blocksOf = (parts) => parts.flatMap((part) => (part.kind === 'block' ? [part] : []));
