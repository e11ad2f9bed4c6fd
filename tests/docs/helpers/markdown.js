/** Documents as a parser of Markdown sees them. */
import { readFile } from 'node:fs/promises';

import { marked } from 'marked';

/**
 * @typedef {object} Block of code
 * @property {string} lang first word of its info string; '' where there is none
 * @property {string} [title] of the info string: the file that it is, or continues
 * @property {boolean} server the last command runs until it is stopped
 * @property {string} text
 *
 * @typedef {object} Document
 * @property {Block[]} blocks
 * @property {string[]} spans inline code
 * @property {string[]} comments of HTML
 */

/** @param {import('marked').Tokens.Code} token @returns {Block} */
function blockOf({ lang = '', text }) {
  const [name = '', ...words] = lang.split(/\s+/);
  const [, title] = /title="([^"]+)"/.exec(lang) ?? [];
  return { lang: name, title, server: words.includes('server'), text };
}

/**
 * @param {string} markdown
 * @returns {Document}
 */
export function parseMarkdown(markdown) {
  /** @type {Document} */
  const document = { blocks: [], spans: [], comments: [] };
  marked.walkTokens(marked.lexer(markdown), (token) => {
    if (token.type === 'code') document.blocks.push(blockOf(/** @type {import('marked').Tokens.Code} */ (token)));
    if (token.type === 'codespan') document.spans.push(token.text.replaceAll(/\s+/g, ' '));
    if (token.type === 'html') document.comments.push(token.text);
  });
  return document;
}

/** @param {string | URL} path */
export const readMarkdown = async (path) => parseMarkdown(await readFile(path, 'utf8'));
