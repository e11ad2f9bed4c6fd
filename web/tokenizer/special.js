/** Cuts special tokens out of a text before the rest of it is tokenized, in the order llama.cpp does. */
import { HalfspaceError } from '../errors.js';

/** UTF-16 units of a special token; of all of them, those that they begin with in common counted once. */
export const SPECIAL_LIMITS = { length: 256, nodes: 1 << 16 };
/** Breaks what looks like a control token and is none: a noncharacter of Unicode, which no text for interchange has. */
const MARK = '\ufdd0';

const ASCII_SPACE = ' \t\n\v\f\r';

/**
 * @typedef {object} SpecialToken
 * @property {number} id
 * @property {string} text
 * @property {boolean} control parsed only on request; a user-defined token always
 * @property {boolean} rstrip white space behind it is dropped
 */

/**
 * @typedef {object} TrieNode
 * @property {Map<number, TrieNode>} children by UTF-16 unit
 * @property {SpecialToken | null} token that ends here
 */

/** @param {number} value @param {number} limit @param {string} what */
function checkLimit(value, limit, what) {
  const field = 'tokenizer.ggml.tokens';
  if (value > limit) throw new HalfspaceError('bad-file', `more than ${limit} ${what} (${field})`, { field, value, limit });
}

/**
 * @param {SpecialToken[]} tokens
 * @returns {TrieNode}
 */
function buildTrie(tokens) {
  /** @type {TrieNode} */
  const root = { children: new Map(), token: null };
  let nodes = 0;
  for (const token of tokens) {
    let node = root;
    checkLimit(token.text.length, SPECIAL_LIMITS.length, 'UTF-16 units of a special token');
    for (let i = 0; i < token.text.length; i++) {
      const unit = token.text.charCodeAt(i);
      let child = node.children.get(unit);
      if (!child) {
        node.children.set(unit, (child = { children: new Map(), token: null }));
        checkLimit(++nodes, SPECIAL_LIMITS.nodes, 'UTF-16 units of special tokens');
      }
      node = child;
    }
    node.token = token;
  }
  return root;
}

/**
 * @param {string} text
 * @param {TrieNode} root
 * @param {(token: SpecialToken, start: number) => void} found each token that begins anywhere in the text, in order
 */
function findAll(text, root, found) {
  for (let start = 0; start < text.length; start++) {
    let node = root.children.get(text.charCodeAt(start));
    for (let i = start + 1; node; i++) {
      if (node.token) found(node.token, start);
      node = i < text.length ? node.children.get(text.charCodeAt(i)) : undefined;
    }
  }
}

/**
 * @param {string} text
 * @param {TrieNode} root
 * @returns {string} in which no control token is found: each has a MARK in it. One of a single letter is that letter in any text
 */
function protect(text, root) {
  const given = text.replaceAll(MARK, '\ufffd');
  let [marked, done] = ['', 0];
  findAll(given, root, ({ control }, start) => {
    if (!control || start < done) return;
    marked += given.slice(done, start + 1) + MARK;
    done = start + 1;
  });
  return marked + given.slice(done);
}

/**
 * @param {string} text
 * @param {SpecialToken} token
 * @param {(string | number)[]} out
 */
function splitOne(text, token, out) {
  let start = 0;
  for (let at = text.indexOf(token.text); at >= 0; at = text.indexOf(token.text, start)) {
    if (at > start) out.push(text.slice(start, at));
    out.push(token.id);
    start = at + token.text.length;
    while (token.rstrip && start < text.length && ASCII_SPACE.includes(text[start])) start++;
  }
  if (start < text.length) out.push(text.slice(start));
}

/**
 * @param {SpecialToken[]} specials
 * @returns {{split: (text: string, parseSpecial: boolean) => (string | number)[], protect: (text: string) => string}} split
 *   gives fragments: text, or the id of a special token. The longest token (in bytes) is cut out everywhere first, then the
 *   next. protect makes text that split() finds no control token in; it takes the marks out again.
 */
export function createSpecialSplitter(specials) {
  const encoder = new TextEncoder();
  const byteLength = new Map(specials.map((token) => [token, encoder.encode(token.text).length]));
  const longestFirst = [...specials].sort((a, b) => /** @type {number} */ (byteLength.get(b)) - /** @type {number} */ (byteLength.get(a)));
  const trie = buildTrie(specials);

  /** @param {string} text @param {boolean} parseSpecial */
  const split = (text, parseSpecial) => {
    // A vocabulary can hold thousands of special tokens: one walk finds the few worth searching for.
    const present = new Set();
    findAll(text, trie, (token) => present.add(token));
    /** @type {(string | number)[]} */
    let fragments = text === '' ? [] : [text];
    for (const token of longestFirst) {
      if (!present.has(token) || (token.control && !parseSpecial)) continue;
      /** @type {(string | number)[]} */
      const finer = [];
      for (const fragment of fragments) {
        if (typeof fragment === 'string') splitOne(fragment, token, finer);
        else finer.push(fragment);
      }
      fragments = finer;
    }
    return parseSpecial ? fragments.map((part) => (typeof part === 'string' ? part.replaceAll(MARK, '') : part)) : fragments;
  };
  return { split, protect: (text) => protect(text, trie) };
}
