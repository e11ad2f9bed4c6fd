/** What examples of the documents take as given: names, and the expressions that make them. Each example gets those that it does not declare. */

const shape = '{ headDim: 64, kvHeads: 3 }';
const stored = '400 * 3 * 64';
const random = '((length) => Float32Array.from({ length }, () => Math.random() - 0.5))';

/** In Node.js, in a folder with model.gguf and text.txt; `address` is where they are served. @type {Record<string, string>} */
export const IN_NODE = {
  engine: "await (await import('halfspace/node')).Engine.load('model.gguf')",
  longText: "(await import('node:fs')).readFileSync('text.txt', 'utf8')",
  prompt: "'It was the White Rabbit'",
  book: 'await engine.prefill(longText)',
  print: '(...values) => void globalThis.printed.push(...values)',
  use: '(...values) => void globalThis.printed.push(...values)',
  attend: "(await import('halfspace/attention')).attend",
  keys: `${random}(${stored})`,
  values: `${random}(${stored})`,
  query: `${random}(64)`,
  queries: `${random}(3 * 64)`,
  b: '1',
  cache: `await (await import('halfspace/attention')).KvCache.create(${shape})`,
  response: `await (async () => {
    const source = await (await import('halfspace/attention')).KvCache.create(${shape});
    source.append({ keys: ${random}(${stored}), values: ${random}(${stored}) });
    return new Response(source.readable());
  })()`,
  stream: `new ReadableStream({ start(to) { for (let i = 0; i < 3; i++) to.enqueue(${random}(3 * 64)); to.close(); } })`,
  signal: 'new AbortController().signal',
  file: "(await import('node:stream')).Writable.toWeb((await import('node:fs')).createWriteStream('book.snapshot'))",
  more: "(await import('node:stream')).Writable.toWeb((await import('node:fs')).createWriteStream('more'))",
  url: '`${globalThis.address}model.gguf`',
  env: '{ BINDING: { fetch } }',
};

/** In a page beside model.gguf. @type {Record<string, string>} */
export const IN_PAGE = {
  url: "new URL('model.gguf', location.href)",
  sha256:
    "Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', await (await fetch(url)).arrayBuffer())), (byte) => byte.toString(16).padStart(2, '0')).join('')",
  stream: 'new Blob(["notes"]).stream()',
  signal: 'new AbortController().signal',
};

/**
 * An example with what it takes as given before it. `book` may need `engine`, which then stands before it.
 * @param {string} text
 * @param {Record<string, string>} given
 * @param {string[]} declared names
 */
export function completed(text, given, declared) {
  /** @type {Set<string>} */
  const wanted = new Set();
  const want = (/** @type {string} */ code) => {
    for (const name of Object.keys(given))
      if (!declared.includes(name) && !wanted.has(name) && new RegExp(`(?<![.\\w'/])${name}(?![\\w:'/])`).test(code)) {
        want(given[name]);
        wanted.add(name);
      }
  };
  want(text);
  // Names that are given and not used again are no error: declarations are in the order in which they need one another.
  return `${[...wanted].map((name) => `const ${name} = ${given[name]};\n`).join('')}${text}\n`;
}
