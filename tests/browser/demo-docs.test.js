/** The demo's documents and conversation in Chromium and Firefox: a tiny model for every control, and SmolLM2 for a short walk. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { readable, shownPart, turnPrompt } from '../../demo/prompt.js';
import { Engine } from '../../web/index.js';
import { modelPath } from '../node/helpers/model.js';
import { CHAT_TEMPLATE, randomModel } from '../node/helpers/random-model.js';
import { axeViolations } from './helpers/axe.js';
import { addTestPage } from './helpers/demo-app.js';
import { BROWSERS, darken, openBrowser, serveDemo, TIMEOUT_MS } from './helpers/demo.js';

const CTX = 8192;
const TOKENS = 200;
/** Of SmolLM2, which reads them in a few seconds. */
const REAL_TOKENS = 300;
const MAX_TOKENS = 24;
const SECTIONS = ['#documents', '#conversation'];
const SCREENSHOTS = fileURLToPath(new URL('../../build/screenshots/', import.meta.url));
const document_ = (/** @type {string} */ name) => fileURLToPath(new URL(`../../demo/documents/${name}`, import.meta.url));
/** @type {import('../../demo/snapshots.js').Shipped[]} */
const SHIPPED = JSON.parse(await readFile(document_('index.json'), 'utf8'));
/** Some thousand tokens of the tiny model, which is then still reading when the test goes on. */
const LONG = 'The keeper wrote down every ship that passed the light. '.repeat(120);
const NOTES = '# Notes\n\nAnna has the key \u2013 Ben has the lamp.\n';

let folder = '';
let model = '';
/** @type {Awaited<ReturnType<typeof serveDemo>>} */
let demo;
/** What Node answers, one question after the other, each time reading everything. @type {string[]} */
let expected = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-docs-'));
  model = join(folder, 'tiny.gguf');
  await writeFile(
    model,
    randomModel({
      ...{ arch: 'llama', tied: false, printable: true, metadata: { context_length: CTX } },
      keys: { 'tokenizer.chat_template': CHAT_TEMPLATE },
    }),
  );
  for (const [name, content] of Object.entries({
    'notes.md': NOTES,
    'picture.png': 'no text',
    'latin.txt': Buffer.from([0x4d, 0xfc, 0x6c, 0x6c]),
    'large.txt': 'x'.repeat(1_000_001),
  }))
    await writeFile(join(folder, name), content);
  await mkdir(SCREENSHOTS, { recursive: true });
  demo = await serve(model, join(folder, 'site'), TOKENS);
  expected = await answersInNode(model, SHIPPED[0].questions.slice(0, 2), TOKENS, MAX_TOKENS);
});

after(async () => {
  demo.close();
  await rm(folder, { recursive: true, force: true });
});

/**
 * @param {string} path
 * @param {string} site
 * @param {number} tokens of each shipped document
 */
async function serve(path, site, tokens) {
  const served = await serveDemo({ model: path, args: ['--tokens', String(tokens), '--folder', site] });
  await addTestPage(site);
  return served;
}

/**
 * @param {string} path
 * @param {string[]} questions
 * @param {number} limit
 * @param {number} maxTokens
 */
async function answersInNode(path, questions, limit, maxTokens) {
  const engine = await Engine.load(path, { ctx: CTX });
  const text = shownPart(await readFile(document_(SHIPPED[0].file), 'utf8'), SHIPPED[0].end);
  const prompt = await readable(engine, text, { ctx: CTX, system: '', limit });
  /** @type {{question: string, answer: string}[]} */
  const turns = [];
  for (const question of questions) {
    const { ids } = await turnPrompt(engine, prompt, turns, question, { ctx: CTX, maxTokens });
    let answer = '';
    for await (const piece of engine.generate(ids, { maxTokens })) answer += piece.text;
    turns.push({ question, answer });
  }
  engine.close();
  return turns.map(({ answer }) => answer);
}

/** What a person sees and does. */
class User {
  /** @param {import('puppeteer-core').Page} page @param {string} name of the browser */
  constructor(page, name) {
    this.page = page;
    this.name = name;
  }

  /** @param {string} url @param {string} file of the model */
  async visit(url, file) {
    await this.page.goto(`${url}test.html`);
    await this.page.waitForFunction(() => 'loadModel' in window, { timeout: TIMEOUT_MS });
    await this.#load(file);
  }

  /** @param {string} file */
  async #load(file) {
    await this.page.evaluate((name, maxTokens) => /** @type {any} */ (window).loadModel(name, { maxTokens }), file, MAX_TOKENS);
  }

  /** @param {string} title of the open document, or its beginning */
  async sees(title) {
    await this.page.waitForFunction(
      (wanted) => {
        const { document: open, job } = /** @type {any} */ (window).app;
        return !job && open?.title.startsWith(wanted);
      },
      { timeout: TIMEOUT_MS },
      title,
    );
  }

  async idle() {
    await this.page.waitForFunction(() => !(/** @type {any} */ (window).app.job), { timeout: TIMEOUT_MS });
  }

  /** @param {string} selector */
  text(selector) {
    return this.page.$eval(selector, (node) => node.textContent ?? '');
  }

  /** @param {string} selector @param {RegExp} words */
  async reads(selector, words) {
    await this.page.waitForFunction(
      (where, source) => new RegExp(source).test(document.querySelector(where)?.textContent ?? ''),
      { timeout: TIMEOUT_MS },
      selector,
      words.source,
    );
  }

  /** @param {string} label of a button, in full, or as it is called for screen readers */
  async press(label) {
    await this.page.evaluate((wanted) => {
      const named = (/** @type {HTMLElement} */ node) => [node.getAttribute('aria-label'), node.textContent];
      const button = [...document.querySelectorAll('button')].find((node) => named(node).includes(wanted) && node.offsetParent);
      if (!button || button.disabled) throw new Error(`no button ${wanted}`);
      button.click();
    }, label);
  }

  /** @param {string} selector @param {string} value */
  async fill(selector, value) {
    await this.page.$eval(selector, (node, text) => void (/** @type {HTMLInputElement} */ (node.value = text)), value);
  }

  /** Asks, and waits for the answer. @param {string} question */
  async ask(question) {
    await this.fill('#question', question);
    await this.press('Ask');
    await this.idle();
    return this.lastAnswer();
  }

  lastAnswer() {
    return this.text('.turns li:last-child .answer');
  }

  /** @param {string} text */
  async paste(text) {
    await this.page.$eval('details.own', (node) => void (node.open = true));
    await this.fill('#own-text', text);
    await this.press('Read this text');
  }

  /** @param {string} name */
  async pick(name) {
    const input = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await this.page.$('#own-file'));
    await input.uploadFile(join(folder, name));
  }

  /** What the bars have said since the last call. */
  async progress() {
    return this.page.evaluate(() => {
      const at = /** @type {any} */ (window);
      const labels = at.labels ?? [];
      if (!at.labels) at.app.on('progress', (/** @type {any} */ { label, total }) => at.labels.push({ label, total }));
      at.labels = [];
      return labels;
    });
  }

  /** No violation, nothing wider than the page; and a picture to look at. @param {string} state */
  async isFine(state) {
    await this.page.screenshot({ path: join(SCREENSHOTS, `docs-${state}-${this.name}.png`), fullPage: true });
    assert.deepEqual(await axeViolations(this.page, SECTIONS), [], `${state}: axe`);
  }
}

/**
 * @param {keyof typeof BROWSERS} name
 * @param {(user: User) => Promise<void>} walk
 */
async function inBrowser(name, walk) {
  const { browser, newPage, problems } = await openBrowser(name, { dark: name === 'Firefox' });
  try {
    const page = await newPage();
    await page.setViewport({ width: 1100, height: 900 });
    await walk(new User(page, name));
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
}

/**
 * With SmolLM2, from the page as it is: what Node answers with the SIMD128 build is the same up to rounding.
 * @param {User} user
 * @param {string} url
 * @param {string} path
 * @param {string} answer
 */
async function realModel(user, url, path, answer) {
  await user.visit(url, basename(path));
  await user.sees('Alice');
  await user.press(SHIPPED[0].questions[0]);
  await user.idle();
  assert.equal((await user.lastAnswer()).slice(0, 20), answer.slice(0, 20));
  await user.isFine('real-model');
}

/** @param {User} user */
async function shippedDocument(user) {
  await user.visit(demo.url, basename(model));
  await user.sees('Alice');
  assert.match(await user.text('#documents .current'), /200 of [\d,]+ tokens \(1 %\): more does not fit/);
  await user.isFine('opened');

  await user.progress();
  await user.press(SHIPPED[0].questions[0]);
  await user.idle();
  assert.equal((await user.lastAnswer()).slice(0, 8), expected[0].slice(0, 8), 'from the snapshot as in Node from the text');
  assert.match(await user.text('.turns .figures'), /24 tokens, [\d.]+ ms per token.*tokens per second, 100 % of the keys/);
  const [first] = await user.progress();
  await user.ask(SHIPPED[0].questions[1]);
  assert.equal((await user.lastAnswer()).slice(0, 8), expected[1].slice(0, 8), 'from the cache as in Node from the whole conversation');
  const [second] = await user.progress();
  assert.ok(first.total < 100 && second.total < 150, `${first.total} and ${second.total} tokens were read: what was there stays`);
  assert.equal(await user.page.$$eval('.turns li', (items) => items.length), 2);
  assert.match(await user.text('#conversation [role=status]'), /^Answer: ./);
  await user.isFine('two-turns');
}

/** @param {User} user */
async function keyboard(user) {
  const { page } = user;
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id);
  // Until its snapshot is ready the button says Read.
  await page.waitForSelector(`[aria-label="Open: ${SHIPPED[1].title}"]`, { timeout: TIMEOUT_MS / 4 });
  await page.focus(`[aria-label="Open: ${SHIPPED[1].title}"]`);
  await page.keyboard.press('Enter');
  await user.sees(SHIPPED[1].title);
  assert.equal(await focused(), `Open: ${SHIPPED[1].title}`, 'the focus is where it was');
  await page.focus('#question');
  await page.keyboard.type('Who?');
  await page.keyboard.press('Enter');
  await user.reads('.turns li:last-child .figures', /tokens per second/);
  assert.equal(await focused(), 'question');
  await page.evaluate(() => /** @type {any} */ (window).app.set({ maxTokens: 5000 }));
  await page.focus('.suggestions button');
  await page.keyboard.press('Enter');
  await user.reads('.turns li:last-child .answer', /.{20}/);
  await page.keyboard.press('Enter');
  await user.idle();
  assert.equal(await user.text('.turns li:last-child .figures'), 'Stopped.', 'the focus was on Stop');
}

/** @param {User} user */
async function stop(user) {
  await user.page.evaluate(() => /** @type {any} */ (window).app.set({ maxTokens: 5000 }));
  await user.fill('#question', 'Tell me everything.');
  await user.press('Ask');
  await user.reads('.turns li:last-child .answer', /.{20}/);
  await user.isFine('answering');
  await user.press('Stop');
  await user.idle();
  assert.equal(await user.text('.turns li:last-child .figures'), 'Stopped.');
  assert.ok((await user.lastAnswer()).length < 5000);
  await user.page.evaluate((maxTokens) => /** @type {any} */ (window).app.set({ maxTokens }), MAX_TOKENS);
  assert.ok(await user.ask('And after that?'), 'the conversation goes on');
  const long = await user.page.evaluate(() => {
    /** @type {any} */ (window).app.set({ ctx: 400 });
    return 'very '.repeat(300);
  });
  await user.ask(`Is it ${long} long?`);
  assert.match(await user.text('#conversation [role=alert]'), /too long.*the context ends at 400/);
  await user.page.evaluate((ctx) => /** @type {any} */ (window).app.set({ ctx }), CTX);
}

/** @param {User} user */
async function certificate(user) {
  await user.page.evaluate(() => {
    const attention = { mode: 'hsr', strength: 'certified', eps: 0.1, denseBelow: 0 };
    /** @type {any} */ (window).app.set({ attention });
  });
  await user.ask('Are you sure?');
  assert.match(
    await user.text('.turns li:last-child .figures'),
    /Certificate: no attention output is off by more than [\d.e-]+, [\d.e-]+ on average/,
  );
  await user.page.evaluate(() => {
    const { app } = /** @type {any} */ (window);
    app.set({ attention: { mode: 'hsr', strength: 'fast', farField: true } });
    app.watching++;
    app.on('token', (/** @type {any} */ token) => /** @type {any} */ (window.lastToken = token));
  });
  await user.ask('What did you look at?');
  const watched = await user.page.evaluate(() => {
    const { app, lastToken } = /** @type {any} */ (window);
    app.watching--;
    const { step, ...token } = lastToken;
    return { ...token, keys: step.stats().keysVisible, positions: step.reported(1, 1).positions.length };
  });
  assert.equal(watched.index, MAX_TOKENS - 1);
  assert.ok(
    watched.position > TOKENS + MAX_TOKENS && watched.keys > 0 && watched.positions > 0 && watched.mode === 'hsr' && watched.ms >= 0,
  );
}

/** @param {User} user */
async function systemPrompt(user) {
  await user.page.evaluate(() => /** @type {any} */ (window).app.set({ systemPrompt: 'Be brief.' }));
  assert.match(await user.text('#conversation'), /The system prompt has changed/);
  assert.match(await user.text('#documents .texts'), /has to be read anew: it was read under another system prompt/);
  await user.isFine('system-prompt');
  await user.press('Read it anew');
  await user.idle();
  assert.equal(await user.page.evaluate(() => /** @type {any} */ (window).app.document.systemPrompt), 'Be brief.');
  assert.ok(await user.ask('Well?'));
  await user.page.evaluate(() => /** @type {any} */ (window).app.set({ systemPrompt: '' }));
}

/** @param {User} user */
async function ownTexts(user) {
  await user.progress();
  await user.paste(`My own text.\n${LONG}`);
  await user.sees('My own text.');
  assert.match((await user.progress())[0].label, /^Reading “My own text\.”: [\d,]+ of [\d,]+ tokens, [\d,]+ a second$/);
  assert.match(await user.text('#documents .texts + h3 + .texts'), /My own text\..*characters.*open now; read already, \d+ [kM]B/);
  const answer = await user.ask('Who wrote?');
  await user.isFine('own-text');

  await user.visit(demo.url, basename(model));
  await user.sees('Alice');
  await user.progress();
  await user.press('Open: My own text.');
  await user.sees('My own text.');
  const labels = (await user.progress()).map(({ label }) => label);
  assert.ok(labels.length > 0 && labels.every((/** @type {string} */ label) => label.startsWith('Opening')), 'nothing is read again');
  assert.equal(await user.ask('Who wrote?'), answer, 'resumed, it answers the same');

  await user.pick('notes.md');
  await user.sees('notes.md');
  assert.equal(await user.page.evaluate(() => /** @type {any} */ (window).app.document.text), NOTES);
  for (const [file, words] of /** @type {const} */ ([
    ['picture.png', /picture\.png is no plain text: \.txt and \.md files can be read/],
    ['latin.txt', /latin\.txt is not UTF-8/],
    ['large.txt', /large\.txt has 1,000,001 bytes; at most 1,000,000 are taken/],
  ])) {
    await user.pick(file);
    await user.reads('#documents .notice', words);
  }
  await user.paste('  ');
  await user.reads('#documents .notice', /There is no text in it/);
  await user.isFine('bad-file');

  await user.page.evaluate((content) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([content], 'dropped.txt', { type: 'text/plain' }));
    const target = document.querySelector('#documents .current');
    for (const type of ['dragover', 'drop']) target?.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }, 'Dropped from above.');
  await user.sees('dropped.txt');

  await user.press('Delete dropped.txt');
  await user.reads('#documents .notice', /“dropped\.txt” is deleted/);
  assert.doesNotMatch(await user.text('#documents .texts + h3 + .texts'), /dropped/);
  await user.visit(demo.url, basename(model));
  await user.sees('Alice');
  assert.doesNotMatch(await user.text('#documents .texts + h3 + .texts'), /dropped/, 'for good');
}

/** @param {User} user */
async function cancel(user) {
  await user.paste(`To be cancelled.\n${LONG}`);
  await user.reads('#document-progress', /of [\d,]+ tokens/);
  await user.isFine('reading');
  await user.press('Cancel');
  await user.idle();
  assert.match(await user.text('#documents .notice'), /Stopped\. Nothing is lost: “To be cancelled\.” stays in the list/);
  assert.equal(await user.page.evaluate(() => /** @type {any} */ (window).app.document.title), 'Alice\u2019s Adventures in Wonderland');
  await user.press('Read it: To be cancelled.');
  await user.sees('To be cancelled.');
}

/** @param {User} user */
async function quota(user) {
  await user.page.evaluate(() => {
    FileSystemWritableFileStream.prototype.write = () => Promise.reject(new DOMException('No room.', 'QuotaExceededError'));
  });
  await user.paste('No room for this.');
  await user.sees('No room for this.');
  await user.reads(
    '#documents .notice',
    /it is not saved\. The browser has no room left for this page \(it has \d+ .B of [\d,]+ MB\): delete something/,
  );
  assert.match(await user.text('#documents .texts + h3 + .texts'), /No room for this\..*not saved/);
  assert.ok(await user.ask('Well?'), 'it goes on');
  await user.isFine('quota');
}

/** @param {User} user */
async function damaged(user) {
  const { title, snapshot } = JSON.parse(await readFile(join(folder, 'site', 'documents.json'), 'utf8'))[2];
  const path = join(folder, 'site', snapshot.file);
  const whole = await readFile(path);
  const bytes = Buffer.from(whole);
  bytes[bytes.length >> 1] ^= 1;
  // It is a link to one that others use.
  await rm(path);
  await writeFile(path, bytes);
  try {
    await user.press(`Open: ${title}`);
    await user.idle();
    assert.match(await user.text('#documents .notice'), /The ready copy of .* is damaged: snapshot, record \d+ at byte \d+/);
    await user.isFine('damaged');
    await user.press('Read the text');
    await user.reads('#document-progress', /^Reading “The Constitution/);
    await user.press('Cancel');
    await user.idle();
  } finally {
    await writeFile(path, whole);
  }
}

/** @param {User} user */
async function reopened(user) {
  await user.press('Open: notes.md');
  await user.sees('notes.md');
  const answer = await user.ask('Who has the key?');
  const id = await user.page.evaluate(() => {
    const { app } = /** @type {any} */ (window);
    const { id } = app.document;
    app.loseEngine();
    return id;
  });
  assert.match(await user.text('#documents .current'), /Load the model first/);
  await user.page.evaluate(
    async (name, lost) => {
      const { app, loadModel } = /** @type {any} */ (window);
      await loadModel(name);
      await app.reopen({ id: lost });
    },
    basename(model),
    id,
  );
  assert.equal(await user.page.evaluate(() => /** @type {any} */ (window).app.document.id), id, 'and not the first one');
  assert.deepEqual(await user.page.evaluate(() => /** @type {any} */ (window).app.turns), [{ question: 'Who has the key?', answer }]);
  assert.ok(await user.ask('And the lamp?'));
  assert.equal(await user.page.$$eval('.turns li', (items) => items.length), 2, 'the conversation goes on');
  await user.page.evaluate((name) => /** @type {any} */ (window).loadModel(name), basename(model));
  await user.sees('notes.md');
  assert.equal(await user.page.$$eval('.turns li', (items) => items.length), 0, 'another engine starts with the same document');
  await user.page.setViewport({ width: 360, height: 800 });
  assert.ok(await user.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than a phone');
  await user.isFine('narrow');
  if (user.name === 'Chromium') {
    await darken(user.page);
    await user.isFine('dark');
  }
  await user.page.setViewport({ width: 1100, height: 900 });
}

for (const name of /** @type {(keyof typeof BROWSERS)[]} */ (Object.keys(BROWSERS))) {
  test(`${name}: shipped documents, questions, own texts`, { timeout: 3 * TIMEOUT_MS }, () =>
    inBrowser(name, async (user) => {
      await shippedDocument(user);
      await keyboard(user);
      await stop(user);
      await certificate(user);
      await systemPrompt(user);
      await ownTexts(user);
      await cancel(user);
      await damaged(user);
      await reopened(user);
      await quota(user);
    }),
  );
}

test('SmolLM2 answers in both browsers as in Node', { timeout: 3 * TIMEOUT_MS }, async () => {
  const path = await modelPath();
  const served = await serve(path, join(folder, 'smollm2'), REAL_TOKENS);
  try {
    const [answer] = await answersInNode(path, SHIPPED[0].questions.slice(0, 1), REAL_TOKENS, MAX_TOKENS);
    for (const name of /** @type {(keyof typeof BROWSERS)[]} */ (Object.keys(BROWSERS)))
      await inBrowser(name, (user) => realModel(user, served.url, path, answer));
  } finally {
    served.close();
  }
});
