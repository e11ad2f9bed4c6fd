/** The page in Chromium and Firefox: it loads the model, answers as Node does, stops, and survives a bad file. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

import { Engine } from '../../web/index.js';
import { modelPath } from '../node/helpers/model.js';

const TEXT = 'The lighthouse at Varn was built in 1823 by Elsa Holm, who kept it alone for forty years.';
const QUESTION = 'Who built the lighthouse?';
const TIMEOUT_MS = 120_000;
let url = '';
/** @type {import('node:child_process').ChildProcess} */
let server;
let badFile = '';

before(async () => {
  server = spawn(process.execPath, ['demo/serve.js', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, HALFSPACE_TEST_MODEL: await modelPath() },
  });
  url = await new Promise((resolve) => server.stdout?.on('data', (text) => resolve(/http\S+/.exec(String(text))?.[0] ?? '')));
  badFile = join(await mkdtemp(join(tmpdir(), 'halfspace-')), 'bad.gguf');
  await writeFile(badFile, 'this is not a model at all, whatever its name says');
});

after(() => server.kill());

/** What Node answers with the SIMD128 build: the same arithmetic as any relaxed build up to rounding. */
async function answerInNode() {
  const engine = await Engine.load(await modelPath());
  const ids = engine.chatTokens([{ role: 'user', content: `Read this text:\n\n${TEXT}\n\nQuestion: ${QUESTION}` }]);
  let text = '';
  for await (const piece of engine.generate(ids, { maxTokens: 48, attention: 'dense' })) text += piece.text;
  engine.close();
  return text;
}

/**
 * The same walk through either browser's page.
 * @param {any} page
 * @param {(selector: string, file: string) => Promise<void>} upload
 */
async function walk(page, upload) {
  const text = (/** @type {string} */ id) => page.evaluate((/** @type {string} */ i) => document.getElementById(i)?.textContent ?? '', id);
  const idle = () =>
    page.waitForFunction(() => !(/** @type {HTMLButtonElement} */ (document.getElementById('ask')).disabled), { timeout: TIMEOUT_MS });
  const ask = (/** @type {string} */ document_, /** @type {string} */ question) =>
    page.evaluate(
      ([d, q]) => {
        /** @type {HTMLTextAreaElement} */ (document.getElementById('document')).value = d;
        /** @type {HTMLInputElement} */ (document.getElementById('question')).value = q;
        document.getElementById('ask')?.click();
      },
      [document_, question],
    );
  await page.goto(url);
  await page.waitForFunction(() => /SIMD/.test(document.getElementById('info')?.textContent ?? ''), { timeout: TIMEOUT_MS });
  await idle();
  assert.match(await text('info'), /relaxed SIMD/);
  const threads = Math.min(4, await page.evaluate(() => navigator.hardwareConcurrency));
  assert.match(await text('info'), new RegExp(`, ${threads} threads?$`), 'the page is cross-origin isolated');

  await ask(TEXT, QUESTION);
  await idle();
  const expected = await answerInNode();
  assert.equal((await text('dense')).slice(0, 20), expected.slice(0, 20));
  assert.equal(await text('hsr'), await text('dense'), 'a short context is dense in both');
  assert.match(await text('hsr-figures'), /ms per token/);

  await ask(TEXT.repeat(60), QUESTION);
  await page.evaluate(() => document.getElementById('stop')?.click());
  await idle();
  assert.equal(await text('error'), 'Stopped.');

  await upload('#file', badFile);
  await page.waitForFunction(() => /not a GGUF/.test(document.getElementById('error')?.textContent ?? ''), { timeout: TIMEOUT_MS });
  await ask(TEXT, QUESTION);
  await idle();
  assert.equal((await text('dense')).slice(0, 20), expected.slice(0, 20), 'still usable after a bad file');
}

test('Chromium', { timeout: 3 * TIMEOUT_MS }, async () => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
  try {
    const page = await browser.newPage();
    const shim = Object.create(page);
    shim.waitForFunction = (/** @type {any} */ predicate, /** @type {any} */ options) =>
      page.waitForFunction(predicate, undefined, options);
    await walk(shim, (selector, file) => page.setInputFiles(selector, file));
  } finally {
    await browser.close();
  }
});

test('Firefox', { timeout: 3 * TIMEOUT_MS }, async () => {
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true });
  try {
    const page = await browser.newPage();
    await walk(page, async (selector, file) => {
      const handle = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await page.$(selector));
      await handle.uploadFile(file);
    });
  } finally {
    await browser.close();
  }
});
