/** Cuts special tokens out of a text before the rest of it is tokenized, in the order llama.cpp does. */

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

/**
 * @param {SpecialToken[]} tokens
 * @returns {TrieNode}
 */
function buildTrie(tokens) {
  /** @type {TrieNode} */
  const root = { children: new Map(), token: null };
  for (const token of tokens) {
    let node = root;
    for (let i = 0; i < token.text.length; i++) {
      const unit = token.text.charCodeAt(i);
      let child = node.children.get(unit);
      if (!child) node.children.set(unit, (child = { children: new Map(), token: null }));
      node = child;
    }
    node.token = token;
  }
  return root;
}

/**
 * @param {string} text
 * @param {TrieNode} root
 * @returns {Set<SpecialToken>} the tokens that occur anywhere in the text
 */
function findPresent(text, root) {
  const present = new Set();
  for (let start = 0; start < text.length; start++) {
    let node = root.children.get(text.charCodeAt(start));
    for (let i = start + 1; node; i++) {
      if (node.token) present.add(node.token);
      node = i < text.length ? node.children.get(text.charCodeAt(i)) : undefined;
    }
  }
  return present;
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
 * @returns {(text: string, parseSpecial: boolean) => (string | number)[]} fragments: text, or the id of a special token.
 *   The longest token (in bytes) is cut out everywhere first, then the next.
 */
export function createSpecialSplitter(specials) {
  const encoder = new TextEncoder();
  const byteLength = new Map(specials.map((token) => [token, encoder.encode(token.text).length]));
  const longestFirst = [...specials].sort((a, b) => /** @type {number} */ (byteLength.get(b)) - /** @type {number} */ (byteLength.get(a)));
  const trie = buildTrie(specials);

  return (text, parseSpecial) => {
    // A vocabulary can hold thousands of special tokens: one walk finds the few worth searching for.
    const present = findPresent(text, trie);
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
    return fragments;
  };
}
