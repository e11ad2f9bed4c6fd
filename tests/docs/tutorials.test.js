/** The tutorials are followed word by word: each file is written, each command run, and its output is as shown. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { modelPath } from '../node/helpers/model.js';
import { chatModel } from '../node/helpers/serving.js';
import { runtimeCommand } from '../runtimes/commands.js';
import { ROOT } from './helpers/reference.js';
import { freePort, likeThis, Walk } from './helpers/walk.js';

/** What `halfspace pull` prints in a tutorial. @param {string} path @returns {[string, string]} */
const pulled = (path) => ['npx halfspace pull', `echo ${path}`];

test('what is printed is as shown but for numbers and quoted words', () => {
  const shown = 'read 430 tokens in 3012 ms\n"An answer, (so)."\nlooked at "a, b" and more';
  assert.match('read 9 tokens in 1.5 ms\n"Another\none"\nlooked at "c" and more', likeThis(shown));
  for (const other of ['wrote 9 tokens in 1 ms\n""\nlooked at "c" and more', 'read 9 tokens in 1 ms\n""', `${shown}\nand more`])
    assert.doesNotMatch(other, likeThis(shown));
});

test('Node.js: a document is read, saved, resumed and asked', { timeout: 180_000 }, async () => {
  const walk = await Walk.begin({ replace: [pulled(await modelPath())] });
  try {
    await walk.follow('node.md');
  } finally {
    await walk.end();
  }
});

test('a page: asked, left, and asked again without the server', { timeout: 180_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-tutorial-model-'));
  await writeFile(join(folder, 'model.gguf'), chatModel());
  const port = String(await freePort());
  const walk = await Walk.begin({
    replace: [['8080', port], pulled(join(folder, 'model.gguf'))],
    tools: { sirv: join(ROOT, 'node_modules/sirv') },
  });
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] });
  try {
    await walk.follow('page.md');
    const page = await browser.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    /** @type {string[]} */
    const fetched = [];
    page.on('request', (request) => fetched.push(new URL(request.url()).pathname));
    const status = () => page.locator('#status').innerText();
    const ask = async () => {
      await page.locator('button:enabled').click();
      await page.locator('#answer[data-done]').waitFor();
      return page.locator('#answer').innerText();
    };
    await page.goto(`http://localhost:${port}/`);
    await page.locator('button:enabled').waitFor();
    assert.match(await status(), /^ready, [2-4] threads$/, 'the two headers isolate the page');
    const answer = await ask();
    assert.match(await status(), /^read \d+ tokens$/);
    assert.ok(answer.length > 0 && fetched.includes('/model.gguf'), fetched.join());

    fetched.length = 0;
    await page.reload();
    await page.locator('button:enabled').waitFor();
    await walk.stop();
    assert.equal(await ask(), answer);
    assert.match(await status(), /^resumed \d+ tokens$/);
    assert.ok(!fetched.includes('/model.gguf'), 'the model comes from OPFS');
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await walk.end();
    await rm(folder, { recursive: true });
  }
});

test('an edge worker: a cache is streamed in, and answers', { timeout: 180_000 }, async () => {
  const [workerd] = await runtimeCommand('workerd');
  const tools = { esbuild: join(ROOT, 'node_modules/.bin/esbuild'), workerd };
  const walk = await Walk.begin({ replace: [['8787', String(await freePort())]], tools });
  try {
    await walk.follow('edge.md');
  } finally {
    await walk.end();
  }
});
