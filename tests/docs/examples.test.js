/** Every example in JavaScript of the documents runs, with what it takes as given (helpers/given.js) before it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { parse } from 'acorn';
import { chromium } from 'playwright-core';
import sirv from 'sirv';

import { CHAT_TEMPLATE, randomModel } from '../node/helpers/random-model.js';
import { kindOf } from './helpers/commands.js';
import { completed, IN_NODE, IN_PAGE } from './helpers/given.js';
import { blocksOf, readMarkdown } from './helpers/markdown.js';
import { ROOT } from './helpers/reference.js';

const HOOKS = join(ROOT, 'tests/docs/helpers/wasm-modules.js');
/** Inside the package, whose name then means itself. */
let folder = '';
/** @type {import('node:http').Server} */
let server;
let address = '';

before(async () => {
  await mkdir(join(ROOT, 'build'), { recursive: true });
  folder = await mkdtemp(join(ROOT, 'build/examples-'));
  // Examples name layer 9.
  const model = {
    arch: /** @type {const} */ ('llama'),
    type: /** @type {const} */ ('Q4_0'),
    layers: 12,
    metadata: { context_length: 4096 },
  };
  await writeFile(join(folder, 'model.gguf'), randomModel({ ...model, keys: { 'tokenizer.chat_template': CHAT_TEMPLATE } }));
  await writeFile(join(folder, 'text.txt'), (await readFile(join(ROOT, 'demo/documents/alice.txt'), 'utf8')).slice(0, 500));
  for (const name of (await readdir(join(ROOT, 'build'))).filter((one) => /^halfspace.*\.(js|wasm)$/.test(one)))
    await cp(join(ROOT, 'build', name), join(folder, name));
  server = createServer(sirv(folder, { dev: true }));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  address = `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`;
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** Names that a module declares or imports at its top. @param {string} text @returns {string[]} */
function declaredIn(text) {
  const { body } = /** @type {any} */ (parse(text, { ecmaVersion: 'latest', sourceType: 'module', allowAwaitOutsideFunction: true }));
  const names = (/** @type {any} */ pattern) => {
    if (pattern.type === 'Identifier') return [pattern.name];
    if (pattern.type === 'ObjectPattern') return pattern.properties.flatMap((/** @type {any} */ one) => names(one.value));
    return [];
  };
  return body.flatMap((/** @type {any} */ { type, specifiers, declarations }) => {
    if (type === 'ImportDeclaration') return specifiers.map((/** @type {any} */ one) => one.local.name);
    return type === 'VariableDeclaration' ? declarations.flatMap((/** @type {any} */ one) => names(one.id)) : [];
  });
}

/** @param {string} text @param {string} name */
async function inNode(text, name) {
  const file = join(folder, `${name}.mjs`);
  const before_ = `globalThis.printed = [];\nglobalThis.address = '${address}';\n`;
  await writeFile(
    file,
    `${before_}${completed(text, IN_NODE, declaredIn(text))}console.log(globalThis.printed.length);\nprocess.exit();\n`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', HOOKS, file], { cwd: folder });
  if (/\b(?:print|use)\(/.test(text)) assert.ok(Number(stdout) > 0, 'it prints something');
}

/** @param {string} text @param {string} name */
async function inPage(text, name) {
  const imports = { halfspace: './halfspace.js', 'halfspace/attention': './halfspace-attention.js' };
  await writeFile(join(folder, `${name}.js`), `${completed(text, IN_PAGE, declaredIn(text))}globalThis.done = true;\n`);
  await writeFile(
    join(folder, `${name}.html`),
    `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="${name}.js"></script>`,
  );
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] });
  try {
    const page = await browser.newPage();
    const failed = new Promise((_, reject) => page.once('pageerror', reject));
    await page.goto(`${address}${name}.html`);
    await Promise.race([failed, page.waitForFunction('globalThis.done', undefined, { timeout: 60_000 })]);
  } finally {
    await browser.close();
  }
}

const documents = [
  'README.md',
  ...(await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => join('docs', name)),
];
let examples = 0;
for (const path of documents) {
  const blocks = blocksOf(await readMarkdown(join(ROOT, path))).filter((block) => kindOf(block) === 'js');
  for (const [i, { text }] of blocks.entries()) {
    examples++;
    // The origin private file system is a page's.
    const run = text.includes('openOpfsStore(') ? inPage : inNode;
    test(`${path}: ${text.split('\n').slice(0, 2).join(' ')}`, { timeout: 120_000 }, () =>
      run(text, `${path.replaceAll(/\W/g, '-')}-${i}`),
    );
  }
}

test('the README has its examples, and one that is wrong fails', async () => {
  assert.ok(examples >= 8, String(examples));
  await assert.rejects(inNode("import { Engin } from 'halfspace';", 'wrong-name'), /does not provide an export named 'Engin'/);
  await assert.rejects(inNode('await engine.prefil(longText);', 'wrong-method'), /prefil is not a function/);
  await assert.rejects(
    inPage("import { openOpfsStore } from 'halfspace'; await openOpfsStore({ maxBytes: -1 });", 'wrong-page'),
    /maxBytes/,
  );
});
