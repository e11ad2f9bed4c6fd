/** The demo's frame in Chromium and Firefox: models, settings, failures and what is done about them, without network and isolation. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { CHAT_TEMPLATE, randomModel } from '../node/helpers/random-model.js';
import { axeViolations } from './helpers/axe.js';
import { BROWSERS, openBrowser, TIMEOUT_MS } from './helpers/demo.js';
import { gatedSite } from './helpers/gated-site.js';

const PART = 4 << 20;
const SCREENSHOTS = fileURLToPath(new URL('../../build/screenshots/', import.meta.url));
const TEXT = 'The lighthouse at Varn was built in 1823 by Elsa Holm, who kept it alone for forty years.';

let folder = '';
let model = '';
let deepModel = '';
let badFile = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-shell-'));
  model = join(folder, 'tiny.gguf');
  deepModel = join(folder, 'deep.gguf');
  badFile = join(folder, 'bad.gguf');
  const keys = { 'tokenizer.chat_template': CHAT_TEMPLATE };
  await writeFile(model, randomModel({ arch: 'llama', tied: false, printable: true, metadata: { context_length: 8192 }, keys }));
  // A token takes 72 KB of an f32 cache: 70,000 do not fit in 4 GB.
  const deep = { type: /** @type {const} */ ('Q4_K'), layers: 64, metadata: { context_length: 131072 }, keys };
  await writeFile(deepModel, randomModel({ arch: 'llama', ...deep }));
  await writeFile(badFile, 'this is not a model at all, whatever its name says');
  await mkdir(SCREENSHOTS, { recursive: true });
});
after(() => rm(folder, { recursive: true, force: true }));

/** What a person sees and does. */
class User {
  /** @param {import('puppeteer-core').Page} page @param {string} name of the browser */
  constructor(page, name) {
    this.page = page;
    this.name = name;
  }

  /** @param {string} selector */
  text(selector) {
    return this.page.$eval(selector, (found) => (found instanceof HTMLElement ? found.innerText : ''));
  }

  /** @param {string} selector @param {RegExp} pattern of its visible text */
  async sees(selector, pattern) {
    const options = { timeout: TIMEOUT_MS / 4, polling: 50 };
    const shown = (/** @type {string} */ place, /** @type {string} */ source) =>
      new RegExp(source).test(/** @type {HTMLElement | null} */ (document.querySelector(place))?.innerText ?? '');
    await this.page.waitForFunction(shown, options, selector, pattern.source).catch(async (cause) => {
      throw new Error(`${pattern} is not in ${selector}: ${await this.text(selector)}`, { cause });
    });
  }

  async idle() {
    const isIdle = () => /** @type {HTMLElement} */ (document.getElementById('job')).hidden;
    await this.page.waitForFunction(isIdle, { timeout: TIMEOUT_MS / 4, polling: 50 }).catch(async (cause) => {
      throw new Error(`still at it: ${await this.text('#job')} ${await this.text('#documents')}`, { cause });
    });
  }

  /** @param {string} selector */
  async click(selector) {
    await this.page.$eval(selector, (found) => /** @type {HTMLElement} */ (found).click());
  }

  /** @param {string} section @param {string} label of a button in it */
  async press(section, label) {
    await this.page.$eval(
      section,
      (found, words) => {
        const button = [...found.querySelectorAll('button')].find(({ textContent }) => textContent === words);
        if (!button || button.disabled) throw new Error(`no button ${words}`);
        button.click();
      },
      label,
    );
  }

  /** @param {string} selector @param {string} value */
  async change(selector, value) {
    await this.page.$eval(
      selector,
      (found, to) => {
        /** @type {HTMLInputElement} */ (found).value = to;
        found.dispatchEvent(new Event('change', { bubbles: true }));
      },
      value,
    );
  }

  /** @param {string} file */
  async choose(file) {
    const input = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await this.page.$('#model-file'));
    await input.uploadFile(file);
  }

  /** Drops bytes as a file on the page's header. @param {string} name @param {Uint8Array | string} content or its URL */
  async drop(name, content) {
    await this.page.evaluate(
      async (fileName, text) => {
        const transfer = new DataTransfer();
        const bytes = /^http/.test(text) ? await (await fetch(text)).arrayBuffer() : text;
        transfer.items.add(new File([bytes], fileName));
        document.querySelector('header')?.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
      },
      name,
      String(content),
    );
  }

  /** @param {string} text */
  async paste(text) {
    await this.page.$eval('#documents details', (found) => (found.open = true));
    await this.page.$eval('#documents textarea', (found, value) => (found.value = value), text);
    await this.page.$eval('#documents form', (found) => found.requestSubmit());
  }

  /** Pastes a text of one's own as the document. */
  async openText() {
    await this.paste(TEXT);
    await this.sees('#documents', /Elsa Holm|lighthouse/);
    await this.page.waitForFunction(() => document.body.dataset.stage === 'document', { timeout: TIMEOUT_MS / 4 });
    await this.idle();
  }

  /** @param {string} question */
  async ask(question) {
    await this.page.$eval('#question', (found, text) => /** @type {HTMLInputElement} */ (found.value = text), question);
    await this.page.$eval('#conversation form', (found) => /** @type {HTMLFormElement} */ (found).requestSubmit());
  }

  /** A picture, and what axe says. @param {string} state */
  async inspect(state) {
    await this.page.screenshot({ path: join(SCREENSHOTS, `shell-${state}-${this.name}.png`), fullPage: true });
    assert.deepEqual(await axeViolations(this.page, ['header', '#failure', '#model', '#settings', '#machine', '#job']), [], state);
  }
}

/** Keeps every worker that the page makes, for the test to end one, or, where it set stillborn, ends it before it begins to run. */
function keepWorkers() {
  const scope = /** @type {any} */ (globalThis);
  scope.workers = [];
  scope.stillborn = false;
  scope.Worker = class extends Worker {
    /** @param {string | URL} url @param {WorkerOptions} options */
    constructor(url, options) {
      super(url, options);
      scope.workers.push(this);
      if (scope.stillborn) this.terminate();
    }
  };
}

/** A minute is over in a second or so. */
function hurry() {
  const { setInterval } = globalThis;
  const faster = (/** @type {() => void} */ run, /** @type {number} */ ms) => setInterval(run, ms / 50);
  Object.assign(globalThis, { setInterval: faster });
}

/** @param {import('puppeteer-core').Page} page @param {boolean} stillborn */
const setStillborn = (page, stillborn) => page.evaluate((value) => void Object.assign(globalThis, { stillborn: value }), stillborn);

const killWorker = (/** @type {import('puppeteer-core').Page} */ page) =>
  page.evaluate(() => /** @type {any} */ (globalThis).workers.at(-1).terminate());

for (const name of /** @type {(keyof typeof BROWSERS)[]} */ (Object.keys(BROWSERS))) {
  test(name, { timeout: 3 * TIMEOUT_MS }, async (t) => {
    let site = await gatedSite({ model, folder: join(folder, `site-${name}`) });
    const { browser, newPage, problems } = await openBrowser(name);
    try {
      const page = await newPage();
      const user = new User(page, name);
      await page.evaluateOnNewDocument(keepWorkers);
      await page.goto(site.url);

      await t.test('opens with a sentence and a button', async () => {
        await user.sees('header', /answers questions about a long document/);
        await user.sees('#model', /of 5 MB/);
        assert.equal(await page.$eval('#documents', (found) => getComputedStyle(found).display), 'none');
        await user.inspect('start');
      });

      await t.test('cancels a download, and goes on with what has arrived', async () => {
        site.heldFrom = PART + (256 << 10);
        await user.click('#start');
        await user.sees('#model', /Downloading 4 MB of 5 MB/);
        await user.sees('#job', /Loading the model/);
        await user.inspect('downloading');
        await user.press('#model', 'Cancel');
        await user.sees('#failure', /Stopped/);
        await user.idle();
        assert.ok(site.asked.includes(0));
        site.heldFrom = Infinity;
        site.asked.length = 0;
        await user.click('#start');
        await user.sees('#model', /downloaded, and stored for the next visit/);
        // Chromium may ask twice, the first time for what its cache has of it.
        assert.ok(site.asked.length > 0 && site.asked.every((from) => from >= PART), String(site.asked));
        await user.idle();
        assert.equal(await page.$eval('#failure', (found) => /** @type {HTMLElement} */ (found).hidden), true);
      });

      await t.test('comes from the storage at the next visit', async () => {
        site.asked.length = 0;
        await page.reload();
        await user.click('#start');
        await user.sees('#model', /from this browser’s storage/);
        assert.deepEqual(site.asked, []);
        await user.idle();
        await user.openText();
      });

      for (const when of /** @type {const} */ (['idle', 'decoding']))
        await t.test(`a worker that is killed while ${when}: the engine and the document come back`, async () => {
          await user.change('#setting-maxTokens', when === 'idle' ? '16' : '4096');
          if (when === 'idle') await killWorker(page);
          await user.ask('Who built it?');
          if (when === 'decoding') {
            await user.sees('#conversation', /Who built it\?[^]*Who built it\?[^]*\S{40}/);
            await killWorker(page);
          }
          await user.sees('#failure', /ended by the browser[^]*runs again, and “.*” is open/);
          await user.idle();
          assert.equal(await page.evaluate(() => document.body.dataset.stage), 'document');
          await user.inspect(`recovered-${when}`);
          await user.change('#setting-maxTokens', '16');
          await user.press('#failure', 'Try again');
          await user.idle();
          await user.sees('#conversation', /Who built it\?/);
          assert.equal(await page.$eval('#failure', (found) => /** @type {HTMLElement} */ (found).hidden), true);
        });

      await t.test('files that are no models: words, and the page stays usable', async () => {
        for (const way of /** @type {const} */ (['choose', 'drop'])) {
          if (way === 'choose') await user.choose(badFile);
          else await user.drop('bad.gguf', 'neither is this one');
          await user.sees('#failure', /not what it should be/);
          await user.idle();
          await user.press('#failure', 'Close');
        }
        await user.drop('dropped.gguf', `${site.url}tiny.gguf`);
        await user.sees('#model', /dropped\.gguf: .*from your file/);
        await user.idle();
        await user.choose(model);
        await user.sees('#model', /tiny\.gguf: .*from your file/);
        await user.idle();
      });

      await t.test('a worker that is killed while loading, where nothing is stored: another try', async () => {
        const bare = new User(await newPage(), name);
        await bare.page.evaluateOnNewDocument(keepWorkers);
        await bare.page.evaluateOnNewDocument(() => {
          // Firefox also runs this where there is none.
          if ('StorageManager' in globalThis) delete (/** @type {any} */ (StorageManager.prototype).getDirectory);
        });
        await bare.page.goto(site.url);
        site.heldFrom = PART;
        await bare.click('#start');
        await bare.sees('#model', /stores no models/);
        await bare.sees('#model', /Starting: [1-4] MB/);
        await killWorker(bare.page);
        await bare.sees('#failure', /ended by the browser/);
        await bare.idle();
        site.heldFrom = Infinity;
        await bare.press('#failure', 'Try again');
        await bare.sees('#model', /downloaded, and not stored/);
        await bare.idle();
        await bare.page.close();
        await page.bringToFront();
      });

      await t.test('a worker that is killed before it begins to run: another try', async () => {
        const early = new User(await newPage(), name);
        await early.page.evaluateOnNewDocument(keepWorkers);
        await early.page.evaluateOnNewDocument(hurry);
        await early.page.goto(site.url);
        await setStillborn(early.page, true);
        await early.choose(model);
        await early.sees('#failure', /ended by the browser/);
        assert.match(await early.page.$eval('#failure code', (found) => found.textContent), /did not begin to run for 60 s/);
        await early.idle();
        await setStillborn(early.page, false);
        await early.press('#failure', 'Try again');
        await early.sees('#model', /tiny\.gguf: .*from your file/);
        await early.idle();
        await early.page.close();
        await page.bringToFront();
      });

      await t.test('out of memory: the document is kept, and the engine starts again at the second try', async () => {
        const greedy = new User(await newPage(), name);
        await greedy.page.evaluateOnNewDocument(keepWorkers);
        await greedy.page.evaluateOnNewDocument(hurry);
        await greedy.page.goto(site.url);
        for (const [setting, value] of Object.entries({ kv: 'f32', ctx: '131072', maxTokens: '8' }))
          await greedy.change(`#setting-${setting}`, value);
        await greedy.choose(deepModel);
        await greedy.sees('#model', /deep\.gguf: .*from your file/);
        await greedy.idle();
        await greedy.openText();
        await greedy.paste('far '.repeat(12_000));
        await greedy.sees('#failure', /not enough memory[^]*Your document is kept/);
        assert.match(
          await greedy.page.$eval('#failure code', (found) => found.textContent),
          /code out-of-memory · field ctx · value 7\d{4} · limit 5\d{4}$/,
        );
        await greedy.idle();
        await greedy.sees('#documents .current', /lighthouse at Varn/);
        await greedy.inspect('out-of-memory');
        await setStillborn(greedy.page, true);
        await greedy.press('#failure', 'Start the engine again');
        await greedy.sees('#failure', /could not be started again: The engine was ended/);
        await greedy.idle();
        await setStillborn(greedy.page, false);
        await greedy.press('#failure', 'Start the engine again');
        await greedy.sees('#failure', /The engine runs again, and “The lighthouse at Varn.*” is open/);
        await greedy.idle();
        await greedy.ask('Who kept it?');
        await greedy.sees('#conversation', /Who kept it\?[^]*8 tokens/);
        await greedy.page.close();
        await page.bringToFront();
      });

      await t.test('an address that leads nowhere', async () => {
        await page.$eval('#model-url', (found, url) => /** @type {HTMLInputElement} */ (found.value = url), `${site.url}nothing.gguf`);
        await page.$eval('#model form', (found) => /** @type {HTMLFormElement} */ (found).requestSubmit());
        await user.sees('#failure', /no such file at this address/);
        await user.idle();
        await user.inspect('not-found');
        // The browser itself writes it to the console.
        assert.match(problems.splice(0).join(), /^([^]*404[^]*)?$/);
      });

      await t.test('settings: checked in words, kept, and loaded again where that is needed', async () => {
        await page.$eval('#settings details', (found) => (found.open = true));
        await user.change('#setting-temperature', 'hot');
        await user.sees('#setting-temperature-problem', /number from 0 to 10/);
        assert.equal(await page.$eval('#setting-temperature', (found) => found.getAttribute('aria-invalid')), 'true');
        await user.inspect('settings-problem');
        await user.change('#setting-temperature', '0.7');
        await user.sees('#setting-temperature-problem', /^$/);
        await user.change('#setting-strength', 'certified');
        await user.change('#setting-eps', '5');
        await user.sees('#setting-eps-problem', /from 0.0001 to 1/);
        await user.change('#setting-eps', '0.05');
        await user.change('#setting-kv', 'f32');
        await user.press('#settings', 'Load again');
        await user.idle();
        await page.$eval('#machine details', (found) => (found.open = true));
        await user.sees('#machine', /KV cache\s+f32/);
        await page.reload();
        for (const [id, value] of Object.entries({ temperature: '0.7', strength: 'certified', eps: '0.05', kv: 'f32' }))
          assert.equal(await page.$eval(`#setting-${id}`, (found) => /** @type {HTMLInputElement} */ (found).value), value);
        await user.press('#settings', 'Back to the defaults');
        assert.equal(await page.$eval('#setting-kv', (found) => /** @type {HTMLInputElement} */ (found).value), 'q8');
      });

      await t.test('dark, and as wide as a phone', async () => {
        await page.$$eval('#settings details, #machine details, #model details', (all) => all.forEach((found) => (found.open = true)));
        await user.inspect('light-open');
        await page.setViewport({ width: 360, height: 740 });
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), 'nothing is wider than the screen');
        await user.inspect('phone');
        await page.setViewport({ width: 1280, height: 800 });

        const night = await openBrowser(name, { dark: true });
        try {
          const dark = new User(await night.newPage(), name);
          await dark.page.goto(site.url);
          await dark.click('#start');
          await dark.sees('#model', /downloaded/);
          await dark.idle();
          await dark.page.$$eval('#settings details, #machine details, #model details', (all) =>
            all.forEach((found) => (found.open = true)),
          );
          const paper = await dark.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
          assert.ok(Number(/\d+/.exec(paper)?.[0]) < 64, `${paper} is dark`);
          await dark.inspect('dark');
          await dark.page.setViewport({ width: 360, height: 740 });
          await dark.inspect('phone-dark');
          assert.deepEqual(night.problems, []);
        } finally {
          await night.browser.close();
        }
      });

      await t.test('deletes the stored models', async () => {
        await user.sees('#model', /Models take 5 MB/);
        await user.click('#delete-models');
        await user.sees('#model', /are deleted/);
        await user.idle();
        assert.equal(await page.$eval('#delete-models', (found) => found.parentElement?.hidden), true);
      });

      if (name === 'Chromium')
        await t.test('no room: the model is loaded all the same, and that is said', async () => {
          const session = await page.createCDPSession();
          const { origin } = new URL(site.url);
          await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 << 20 });
          await user.click('#start');
          await user.sees('#model', /no room to store the model/);
          await user.sees('#model', /downloaded, and not stored/);
          await user.idle();
          await session.send('Storage.overrideQuotaForOrigin', { origin });
        });

      await t.test('without the network after the first visit', async () => {
        await page.reload();
        await user.click('#start');
        await user.sees('#model', /stored for the next visit/);
        await user.idle();
        await page.evaluate(async () => (await navigator.serviceWorker.ready).active?.state);
        await site.close();
        await page.reload();
        await user.sees('header', /answers questions/);
        await user.click('#start');
        await user.sees('#model', /from this browser’s storage/);
        await user.idle();
        await user.openText();
        assert.equal(await page.evaluate(() => crossOriginIsolated), true);
      });
      problems.splice(0); // what browsers write of requests that nobody answers

      await t.test('without isolation: one thread, and why', async () => {
        site = await gatedSite({ model, folder: join(folder, `plain-${name}`), isolated: false });
        const plain = new User(await newPage(), name);
        await plain.page.evaluateOnNewDocument(() => delete (/** @type {any} */ (Navigator.prototype).serviceWorker));
        await plain.page.goto(site.url);
        await plain.click('#start');
        await plain.sees('#model', /one thread/);
        await plain.page.$eval('#machine details', (found) => (found.open = true));
        await plain.sees('#machine', /Cross-origin isolation\s+off/);
        await plain.sees('#machine', /Threads\s+1\s+threads: the page is not cross-origin isolated/);
        await plain.inspect('not-isolated');
        await plain.page.close();
      });

      await t.test('isolated by the service worker where the host cannot', async () => {
        const helped = await newPage();
        await helped.goto(site.url);
        await helped.waitForFunction(() => crossOriginIsolated && document.getElementById('start'), { timeout: TIMEOUT_MS / 4 });
        const user2 = new User(helped, name);
        await user2.click('#start');
        await user2.sees('#model', /thread/);
        await user2.idle();
      });
      assert.deepEqual(problems, []);
    } finally {
      await browser.close();
      await site.close().catch(() => {});
    }
  });
}
