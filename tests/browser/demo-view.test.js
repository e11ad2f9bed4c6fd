/** What the demo shows of attention, its race and its sweep, in Chromium and Firefox with a tiny model; and a trace of the main thread. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { CHAT_TEMPLATE, randomModel } from '../node/helpers/random-model.js';
import { axeViolations } from './helpers/axe.js';
import { addTestPage } from './helpers/demo-app.js';
import { BROWSERS, darken, openBrowser, serveDemo, TIMEOUT_MS } from './helpers/demo.js';
import { longestTasks } from './helpers/trace.js';

const CTX = 8192;
const MAX_TOKENS = 12;
const TEXT = `${'The keeper wrote down every ship that passed the light.\nNo café was open; a 兎 slept. '.repeat(6)}\nThe end.`;
/** As the tiny model's tokens spell it: one for each byte. */
const SPELT = TEXT.replaceAll(' ', '\u2581');
/** Attention that picks, in a text as short as this one. */
const SPARSE = { mode: 'hsr', strength: 'exact', r: 24, denseBelow: 1 };
const SECTIONS = ['#lit-text', '#heads', '#times', '#race', '#sweep'];
const SCREENSHOTS = fileURLToPath(new URL('../../build/screenshots/', import.meta.url));
const MODEL = 'tiny.gguf';

let folder = '';
/** @type {Awaited<ReturnType<typeof serveDemo>>} */
let demo;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-view-'));
  const model = join(folder, MODEL);
  await writeFile(
    model,
    randomModel({
      ...{ arch: 'llama', tied: false, printable: true, metadata: { context_length: CTX } },
      keys: { 'tokenizer.chat_template': CHAT_TEMPLATE },
    }),
  );
  await mkdir(SCREENSHOTS, { recursive: true });
  demo = await serveDemo({ model, args: ['--tokens', '60', '--folder', join(folder, 'site')] });
  await addTestPage(join(folder, 'site'));
});

after(async () => {
  demo.close();
  await rm(folder, { recursive: true, force: true });
});

/** @typedef {import('puppeteer-core').Page} Page */

/** Runs in the page: notes what is told of tokens, and files instead of saving them. */
function observe() {
  const at = /** @type {any} */ (window);
  at.tokens = [];
  at.files = [];
  at.app.on('token', (/** @type {any} */ { step, ...token }) => {
    const { nLayers, nKvHeads } = at.app.engine.config;
    const heads = Array.from({ length: nLayers * nKvHeads }, (_, i) => [Math.floor(i / nKvHeads), i % nKvHeads]);
    const reported = step && heads.map(([layer, kvHead]) => step.reported(layer, kvHead));
    const exact = step && heads.map(([layer, kvHead]) => step.stats(layer, kvHead).exactFraction);
    const plain = reported?.map((/** @type {any} */ one) => ({ ...one, positions: [...one.positions], shares: [...one.shares] }));
    at.tokens.push({ ...token, reported: plain, exact });
  });
  const url = URL.createObjectURL;
  const blobs = new Map();
  URL.createObjectURL = (blob) => {
    const made = url(blob);
    blobs.set(made, blob);
    return made;
  };
  HTMLAnchorElement.prototype.click = function () {
    at.files.push({ name: this.download, blob: blobs.get(this.href) });
  };
}

/** @param {Page} page @param {string} text @param {object} settings @param {boolean} [observed] noting everything takes time */
async function open(page, text, settings, observed = true) {
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${demo.url}test.html`);
  await page.waitForFunction(() => 'loadModel' in window, { timeout: TIMEOUT_MS });
  await page.evaluate((name, set) => /** @type {any} */ (window).loadModel(name, set), MODEL, {
    maxTokens: MAX_TOKENS,
    ctx: CTX,
    ...settings,
  });
  await page.waitForFunction(() => /** @type {any} */ (window).app.document && !(/** @type {any} */ (window).app.job), {
    timeout: TIMEOUT_MS,
  });
  if (observed) await page.evaluate(observe);
  await readText(page, text);
}

/** @param {Page} page @param {string} text */
async function readText(page, text) {
  await page.$eval('details.own', (node) => void (node.open = true));
  await page.$eval('#own-text', (node, value) => void (/** @type {HTMLTextAreaElement} */ (node.value = value)), text);
  await press(page, 'Read this text');
  await page.waitForFunction(
    (wanted) => /** @type {any} */ (window).app.document?.text === wanted && !(/** @type {any} */ (window).app.job),
    { timeout: TIMEOUT_MS },
    text,
  );
  await reads(page, '#lit-state', /Ask a question/);
}

/** @param {Page} page @param {string} label of a button */
const press = (page, label) =>
  page.evaluate((wanted) => {
    const button = [...document.querySelectorAll('button')].find((node) => node.textContent === wanted && node.offsetParent);
    if (!button || button.disabled) throw new Error(`no button ${wanted}`);
    button.click();
  }, label);

/** @param {Page} page */
const idle = (page) => page.waitForFunction(() => !(/** @type {any} */ (window).app.job), { timeout: TIMEOUT_MS });

/** @param {Page} page @param {string} selector @param {RegExp} words */
const reads = (page, selector, words) =>
  page.waitForFunction(
    (where, source) => new RegExp(source).test(document.querySelector(where)?.textContent ?? ''),
    { timeout: TIMEOUT_MS },
    selector,
    words.source,
  );

/** @param {Page} page @param {string} selector */
const textOf = (page, selector) => page.$eval(selector, (node) => node.textContent ?? '');

/** What is drawn is drawn. @param {Page} page */
const drawn = (page) =>
  page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(undefined)))));

/** @param {Page} page @param {string} question */
async function answer(page, question) {
  await page.$eval('#question', (node, value) => void (/** @type {HTMLTextAreaElement} */ (node.value = value)), question);
  await press(page, 'Ask');
  await idle(page);
  await drawn(page);
}

/** What is told of the answer's tokens. @param {Page} page @param {string} question @returns {Promise<any[]>} */
async function ask(page, question) {
  await page.evaluate(() => void (/** @type {any} */ (window.tokens.length = 0)));
  await answer(page, question);
  return page.evaluate(() => /** @type {any} */ (window).tokens);
}

/**
 * The share of each position, from what the engine told, the slow way.
 * @param {any} token @param {(head: {layer: number, kvHead: number}) => boolean} wanted
 */
function sharesByHand({ reported }, wanted) {
  const heads = reported.filter(wanted);
  /** @type {Map<number, number>} */
  const shares = new Map();
  for (const { positions, shares: own } of heads) {
    const group = own.length / positions.length;
    own.forEach((/** @type {number} */ share, /** @type {number} */ j) => {
      const position = positions[Math.floor(j / group)];
      shares.set(position, (shares.get(position) ?? 0) + share / group / heads.length);
    });
  }
  return shares;
}

/** Words that are lit, as their level by the first of their tokens. @param {Page} page */
const litWords = (page) =>
  page.$$eval('#lit-words span', (spans) => spans.map((span) => Number(/lit-(\d)/.exec(span.className)?.[1] ?? 0)));

/**
 * What should be lit. Words are characters: this model's tokens are bytes.
 * @param {Map<number, number>} shares @param {number} start of the document
 */
function expectedLevels(shares, start) {
  const bytes = new TextEncoder();
  let at = start;
  return [...SPELT].map((character) => {
    let share = 0;
    for (const _ of bytes.encode(character)) share += shares.get(at++) ?? 0;
    return { share, level: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1].filter((least) => share >= least).length };
  });
}

/** @param {Page} page @param {Map<number, number>} shares */
async function checkLit(page, shares) {
  const { start, end, length } = await page.evaluate(() => {
    const { tokens, prefix } = /** @type {any} */ (window).app.document;
    return { ...tokens, length: prefix.length };
  });
  assert.ok(length >= end);
  const expected = expectedLevels(shares, start);
  const levels = await litWords(page);
  assert.equal(levels.length, expected.length);
  expected.forEach(({ share, level }, i) => {
    // At the edge of a level rounding decides.
    if ([0.0003, 0.001, 0.003, 0.01, 0.03, 0.1].every((edge) => Math.abs(share / edge - 1) > 1e-4))
      assert.equal(levels[i], level, `word ${i}`);
  });
  assert.ok(levels.some((level) => level > 0) && levels.some((level) => level === 0));
  const listed = await page.$$eval('.lit-brightest li:not([hidden]) .lit-share', (nodes) =>
    nodes.map((node) => parseFloat(node.textContent ?? '')),
  );
  const best = expected.map(({ share }) => 100 * share).toSorted((a, b) => b - a);
  assert.ok(
    listed.length === 10 && listed.every((percent, i) => Math.abs(percent - best[i]) <= 0.05 * best[i]),
    `${listed} for ${best.slice(0, 10)}`,
  );
}

/** No violation, nothing wider than the page, and a picture to look at. @param {Page} page @param {string} name */
async function inspect(page, name) {
  assert.deepEqual(await axeViolations(page, SECTIONS), [], name);
  await page.screenshot({ path: join(SCREENSHOTS, `view-${name}.png`), fullPage: true });
}

/** @param {Page} page @returns {Promise<{name: string, text: string, bytes: number[]}>} the file that was saved last */
const lastFile = (page) =>
  page.evaluate(async () => {
    const { name, blob } = /** @type {any} */ (window).files.at(-1);
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return { name, text: await blob.text(), bytes: [...bytes.subarray(0, 24)] };
  });

/** What the model says next. @param {Page} page */
const continued = (page) =>
  page.evaluate(async () => {
    const { engine, document: open } = /** @type {any} */ (window).app;
    const ids = [];
    for await (const { id } of engine.generate('x', { prefix: open.prefix, maxTokens: 8 })) ids.push(id);
    return ids;
  });

for (const name of /** @type {(keyof typeof BROWSERS)[]} */ (Object.keys(BROWSERS))) {
  test(`${name}: the text, the heads and the times of an answer`, { timeout: 2 * TIMEOUT_MS }, async () => {
    const { browser, newPage, problems } = await openBrowser(name, { dark: name === 'Firefox' });
    try {
      const page = await newPage();
      await open(page, TEXT, { attention: SPARSE });
      assert.equal(await textOf(page, '#lit-words'), SPELT);
      assert.ok((await litWords(page)).every((level) => level === 0));

      const tokens = await ask(page, 'Which light?');
      const watched = tokens.filter(({ reported }) => reported);
      assert.ok(watched.length >= 4, `${watched.length} tokens`);
      const newest = watched[watched.length - 1];
      await checkLit(
        page,
        sharesByHand(newest, () => true),
      );
      await inspect(page, `${name}-answered`);

      // A head, chosen in the map by keyboard, is what the text shows.
      await page.focus('#heads-map button[tabindex="0"]');
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('ArrowDown');
      assert.match(await textOf(page, '#heads-pointed'), /^Layer 1, KV head 1: .* % exact$/);
      await page.keyboard.press('Enter');
      await drawn(page);
      assert.deepEqual(await page.$$eval('#lit-layer, #lit-head', (nodes) => nodes.map((node) => /** @type {any} */ (node).value)), [
        '1',
        '1',
      ]);
      await checkLit(
        page,
        sharesByHand(newest, ({ layer, kvHead }) => layer === 1 && kvHead === 1),
      );
      const map = await page.$$eval('#heads-map tbody button', (nodes) => nodes.map((node) => Number(node.textContent)));
      assert.deepEqual(map, [0, 2, 1, 3].map((i) => Math.round(100 * newest.exact[i]))); // prettier-ignore
      assert.equal(await page.$$eval('#heads-map [aria-pressed="true"]', (nodes) => nodes.length), 1);
      await page.select('#lit-head', '');
      await drawn(page);
      await checkLit(
        page,
        sharesByHand(newest, ({ layer }) => layer === 1),
      );
      await press(page, 'Show all layers and heads');

      // The slider goes back over the answer; what is frozen stays so until the next question.
      await page.focus('#lit-token');
      await page.keyboard.press('ArrowLeft');
      await page.keyboard.press('ArrowLeft');
      await drawn(page);
      const earlier = watched[watched.length - 3];
      assert.match(await textOf(page, '#lit-state'), new RegExp(`token ${earlier.index + 1} of the answer`));
      await checkLit(
        page,
        sharesByHand(earlier, () => true),
      );
      assert.equal(await page.$eval('#lit-freeze', (node) => node.getAttribute('aria-pressed')), 'true');
      await press(page, 'Follow the newest token');
      await drawn(page);
      assert.match(await textOf(page, '#lit-state'), new RegExp(`token ${newest.index + 1} of the answer`));

      await press(page, 'Scroll to the brightest word');
      await page.waitForFunction(() => {
        const [box, word] = ['#lit-words', '.lit-found'].map((one) => document.querySelector(one)?.getBoundingClientRect());
        return box && word && word.top >= box.top && word.bottom <= box.bottom;
      });
      assert.match(await textOf(page, '#lit-pointed'), /token \d+ of the text: [\d.]+ % of the attention/);
      assert.equal(await page.$eval('.lit-found', (node) => /** @type {HTMLElement} */ (node).title), await textOf(page, '#lit-pointed'));

      assert.equal(await page.$eval('#times .numbers tbody td:last-child', (node) => Number(node.textContent)), watched.length);
      assert.equal(await page.$eval('#times-certificate', (node) => /** @type {HTMLElement} */ (node).hidden), true);
      await page.evaluate(() => {
        const { app } = /** @type {any} */ (window);
        app.set({ attention: { mode: 'hsr', strength: 'certified', eps: 0.1, denseBelow: 1 } });
      });
      await ask(page, 'Where?');
      assert.match(await textOf(page, '#times-certificate'), /at most [\d.]+ % of its length .* proved/);
      await inspect(page, `${name}-certified`);

      await page.setViewport({ width: 360, height: 800 });
      if (name === 'Chromium') await darken(page);
      await drawn(page);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than a phone');
      await inspect(page, `${name}-phone`);

      await readText(page, 'Another text.');
      assert.equal(await textOf(page, '#lit-words'), 'Another\u2581text.');
      assert.ok(
        (await litWords(page)).every((level) => level === 0),
        'what the last answer looked at is gone',
      );
      assert.deepEqual(problems, []);
    } finally {
      await browser.close();
    }
  });

  test(`${name}: the race and the sweep`, { timeout: 2 * TIMEOUT_MS }, async () => {
    const { browser, newPage, problems } = await openBrowser(name);
    try {
      const page = await newPage();
      await open(page, TEXT, { attention: { ...SPARSE, r: 8 } });
      const before = await continued(page);
      const fill = (/** @type {string} */ selector, /** @type {string} */ value) =>
        page.$eval(selector, (node, text) => void (/** @type {HTMLInputElement} */ (node.value = text)), value);

      await fill('#race-tokens', '20');
      await press(page, 'Race');
      await idle(page);
      await drawn(page);
      const rows = await page.evaluate(async () => {
        const { app } = /** @type {any} */ (window);
        const { questionTokens } = await import('halfspace');
        const question = /** @type {HTMLInputElement} */ (document.getElementById('race-question')).value;
        const ids = await questionTokens(app.engine, { text: app.document.text, system: '' }, [], question);
        const { prefix } = app.document;
        const found = [];
        const options = { prefix, attention: app.settings.attention, maxTokens: 20, ctx: app.settings.ctx };
        for await (const row of app.engine.compare(ids.slice(prefix.length), options)) found.push(row);
        return found;
      });
      const same = rows.filter((row) => row.same).length;
      assert.ok(rows.length === 20 && same < 20, `${same} of ${rows.length} agree: eight keys are too few`);
      const first = rows.findIndex((row) => !row.same);
      assert.match(
        await textOf(page, '#race-verdict'),
        new RegExp(`${same} of 20 tokens agree, the first that differs is number ${first + 1}\\.`),
      );
      assert.equal(await textOf(page, '#race-dense .race-text'), rows.map(({ text }) => text).join(''));
      const marks = await page.$$eval('#race-hsr mark', (nodes) => nodes.map((node) => node.firstChild?.textContent));
      assert.deepEqual(
        marks,
        rows.filter((row) => !row.same).map(({ chosenText }) => chosenText || '…'),
      );
      assert.match(await textOf(page, '#race-hsr .race-speed'), /^[\d.]+ tokens per second$/);
      await page.click('#race-save');
      const race = await lastFile(page);
      assert.equal(race.name, 'halfspace-race.json');
      const raced = JSON.parse(race.text);
      const timeless = (/** @type {any[]} */ list) => list.map((row) => ({ ...row, ms: 0, msDense: 0 }));
      assert.deepEqual(timeless(raced.tokens), timeless(rows));
      assert.equal(raced.summary.same, same);
      const mean = (/** @type {'ms' | 'msDense' | 'kl'} */ key) =>
        raced.tokens.reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + row[key], 0) / 20;
      assert.ok(Math.abs(raced.summary.speedUp - mean('msDense') / mean('ms')) < 1e-9);
      assert.ok(raced.summary.kl > 0 && Math.abs(raced.summary.kl - mean('kl')) < 1e-12);
      assert.equal(raced.machine.engine.arch, 'llama');
      assert.ok(raced.machine.userAgent && Date.parse(raced.date) > 0 && raced.document.tokens === new TextEncoder().encode(SPELT).length);
      await inspect(page, `${name}-raced`);

      await fill('#sweep-tokens', '4');
      await press(page, 'Measure');
      await idle(page);
      await drawn(page);
      await reads(page, '#sweep-state', /dense takes [\d.]+ times as long/);
      const { end } = await page.evaluate(() => /** @type {any} */ (window).app.document.tokens);
      const lengths = await page.$$eval('#sweep .numbers tbody th', (nodes) => nodes.map((node) => Number(node.textContent)));
      assert.deepEqual(lengths, [256, 512, end - 4]);
      await page.click('#sweep-save');
      const sweep = JSON.parse((await lastFile(page)).text);
      assert.deepEqual(sweep.rows.map((/** @type {any} */ row) => row.context), lengths); // prettier-ignore
      for (const { ms, msDense, ratio, kl, exactFraction } of sweep.rows) {
        assert.ok(ms > 0 && msDense > 0 && kl > 0 && exactFraction < 0.5);
        assert.ok(Math.abs(ratio - msDense / ms) < 1e-9);
      }
      await page.click('#sweep-png');
      await page.waitForFunction(() => /** @type {any} */ (window).files.at(-1).name === 'halfspace-sweep.png');
      const png = await lastFile(page);
      assert.deepEqual(png.bytes.slice(0, 8), [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
      const size = await page.evaluate(async () => {
        const { width, height } = await createImageBitmap(/** @type {any} */ (window).files.at(-1).blob);
        return { width, height };
      });
      assert.ok(size.width > 300 && size.height > 260);
      await inspect(page, `${name}-swept`);

      // Stopped, it leaves the page and the document as they were.
      await fill('#race-tokens', '256');
      await press(page, 'Race');
      await page.waitForFunction(() => /^Token \d/.test(document.getElementById('race-verdict')?.textContent ?? ''), {
        timeout: TIMEOUT_MS,
      });
      await page.evaluate(() => /** @type {any} */ (window).app.stop());
      await idle(page);
      await reads(page, '#race-verdict', /^Ended after \d+ tokens\.$/);
      assert.equal(await page.$eval('#race-save', (node) => /** @type {HTMLButtonElement} */ (node).disabled), true);
      assert.deepEqual(await continued(page), before, 'the document is as it was');
      assert.deepEqual(problems, []);
    } finally {
      await browser.close();
    }
  });
}

test('the main thread stays free while an answer is decoded about 7000 tokens that are shown', { timeout: 2 * TIMEOUT_MS }, async (t) => {
  const { browser, newPage, problems } = await openBrowser('Chromium');
  try {
    const page = await newPage();
    await open(page, TEXT.repeat(12).slice(0, 5000).trim(), { maxTokens: 40 }, false);
    const tasks = await longestTasks(page, () => answer(page, 'Which light?'));
    assert.ok((await litWords(page)).some((level) => level > 0) && tasks.length > 40);
    t.diagnostic(
      `longest tasks: ${tasks
        .slice(0, 3)
        .map(({ wallMs, cpuMs }) => `${wallMs.toFixed(0)} ms (${cpuMs.toFixed(0)} of this thread)`)
        .join(', ')}`,
    );
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
});
