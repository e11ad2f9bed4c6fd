/** The OPFS store in pages and workers of Chromium and Firefox: what every store does, faults at every step, tabs and browsers killed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';
import sirv from 'sirv';

import { randomBytes } from '../suites/store.js';

const TIMEOUT_MS = 120_000;
const MODEL = randomBytes(1_000_000);
const BROWSERS = /** @type {const} */ ({
  Chromium: { browser: 'chrome', executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] },
  Firefox: { browser: 'firefox', executablePath: '/usr/bin/firefox-esr' },
});
/** Ways to call the store: with createWritable(), with synchronous access handles. */
const PLACES = /** @type {const} */ (['page', 'worker']);

let folder = '';
let url = '';
/** @type {string[]} */
const requests = [];
/** @type {import('node:http').Server} */
let server;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-opfs-'));
  await build({
    entryPoints: { scope: fileURLToPath(new URL('helpers/store-scope.js', import.meta.url)) },
    outdir: join(folder, 'served'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    external: ['node:*'],
    logLevel: 'warning',
  });
  await writeFile(join(folder, 'served', 'index.html'), '<!doctype html><script type="module" src="scope.js"></script>');
  await writeFile(join(folder, 'served', 'model.bin'), MODEL);
  const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
  const serve = sirv(join(folder, 'served'), {
    dev: true,
    setHeaders: (response) => Object.entries(headers).forEach(([name, value]) => response.setHeader(name, value)),
  });
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    serve(request, response, () => response.writeHead(404).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`;
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** @param {import('puppeteer-core').Browser} browser */
async function newPage(browser) {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction(() => 'actions' in globalThis);
  return page;
}

/** @param {import('puppeteer-core').Browser} browser @param {string} profile */
async function kill(browser, profile) {
  const process_ = /** @type {import('node:child_process').ChildProcess} */ (browser.process());
  const dead = once(process_, 'exit');
  process_.kill('SIGKILL');
  await dead;
  // Puppeteer then puts the profile's preferences back.
  while ((await readdir(profile)).some((file) => file.endsWith('.puppeteer'))) await setTimeout(20);
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {'page' | 'worker'} place
 * @param {string} name
 * @param {unknown[]} args
 * @returns {Promise<any>}
 */
async function call(page, place, name, ...args) {
  const { error, value } = await page.evaluate(
    async (...[isPage, action, actionArgs]) => {
      const scope = /** @type {any} */ (globalThis);
      try {
        return { value: await (isPage ? scope.actions[action](...actionArgs) : scope.callInWorker(action, ...actionArgs)) };
      } catch (e) {
        return { error: `${/** @type {Error} */ (e).message}\n${/** @type {Error} */ (e).stack}` };
      }
    },
    place === 'page',
    name,
    args,
  );
  if (error) throw new Error(`${place}: ${error}`);
  return value;
}

for (const [label, launchOptions] of Object.entries(BROWSERS)) {
  const launch = (/** @type {string} */ userDataDir) => puppeteer.launch({ ...launchOptions, headless: true, userDataDir });

  test(label, { timeout: 3 * TIMEOUT_MS }, async (t) => {
    const profile = join(folder, `profile-${label}`);
    let browser = await launch(profile);
    try {
      const page = await newPage(browser);
      for (const place of PLACES) {
        for (const name of await call(page, place, 'suite')) await t.test(`${place}: ${name}`, () => call(page, place, 'run', name));

        await t.test(`${place}: dead at every step of a put`, async () => {
          const { steps, old, new: new_, none } = await call(page, place, 'deaths', 'put');
          assert.ok(steps >= 11 && old >= 10 && new_ >= 1 && none === 0, JSON.stringify({ steps, old, new_, none }));
        });
      }
      await t.test('dead at every step of a delete', async () => {
        const { old, new: new_, none } = await call(page, 'worker', 'deaths', 'delete');
        assert.ok(old >= 3 && none >= 1 && new_ === 0, JSON.stringify({ old, new_, none }));
      });
      await t.test('damaged pointers', () => call(page, 'page', 'damagedSlots'));

      await t.test('tabs closed and reloaded, and workers with them, in the middle of a put', async () => {
        for (const [place, end, bytes] of /** @type {const} */ ([
          ['page', 'close', 10_000],
          ['page', 'reload', 20_000],
          ['worker', 'close', 20_000],
          ['worker', 'reload', 0],
        ])) {
          const name = `killed-${place}-${end}`;
          await call(page, 'page', 'prepare', name, 'old');
          const tab = await newPage(browser);
          await call(tab, place, 'putHalf', name, bytes);
          assert.ok((await call(page, 'page', 'dataFiles', name)) >= 3, 'the new content is half there');
          if (end === 'reload') await tab.reload();
          else await tab.close();
          assert.equal(await call(page, place, 'whatLoads', name), 'old');
          if (end === 'reload') await tab.close();
        }
      });

      await t.test('a put of one tab is not collected by another', async () => {
        for (const place of PLACES) {
          const name = `two-tabs-${place}`;
          await call(page, 'page', 'prepare', name, 'old');
          const tab = await newPage(browser);
          await call(tab, place, 'putHalf', name, 10_000);
          const files = await call(page, 'page', 'dataFiles', name);
          await call(page, 'page', 'prepare', name, 'new');
          assert.equal(await call(page, 'page', 'dataFiles', name), files);
          await tab.close();
          assert.equal(await call(page, 'page', 'whatLoads', name), 'new');
        }
      });

      await t.test('a model from the store, the second time without the network', async () => {
        requests.length = 0;
        const sha256 = createHash('sha256').update(MODEL).digest('hex');
        const first = await call(page, 'page', 'cached', `${url}model.bin`, sha256);
        assert.equal(first.size, MODEL.length);
        assert.ok(first.bytes > MODEL.length && first.bytes < MODEL.length + 2000);
        const fetched = requests.filter((path) => path === '/model.bin').length;
        assert.equal(fetched, 6);
        assert.deepEqual(await call(page, 'worker', 'cached', `${url}model.bin`, sha256), first);
        assert.equal(requests.filter((path) => path === '/model.bin').length, fetched);
      });

      if (label === 'Chromium') {
        await t.test('no space at every step of a put', async () => {
          const steps = await call(page, 'worker', 'fullAtEachStep');
          assert.ok(steps >= 11, `${steps} steps`);
        });
        await t.test("the browser's own quota, and persistence", async () => {
          const session = await page.createCDPSession();
          const origin = new URL(url).origin;
          for (const place of PLACES) {
            await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 40 << 20 });
            const { usage, quota } = await call(page, place, 'putTooMuch', 64 << 20);
            assert.ok(usage > 0 && quota > usage, `${usage} of ${quota}`);
            await session.send('Storage.overrideQuotaForOrigin', { origin });
            assert.equal(typeof (await call(page, place, 'persist')), 'boolean');
          }
        });
      }

      await t.test('a browser killed in the middle of puts', async () => {
        const befores = /** @type {const} */ ({ page: 'old', worker: 'new' });
        const tab = await newPage(browser);
        for (const place of PLACES) {
          await call(tab, place, 'prepare', `crash-${place}`, befores[place]);
          await call(tab, place, 'putHalf', `crash-${place}`, 10_000);
        }
        await kill(browser, profile);
        browser = await launch(profile);
        const again = await newPage(browser);
        for (const place of PLACES) assert.equal(await call(again, place, 'whatLoads', `crash-${place}`), befores[place]);
      });
    } finally {
      await browser.close();
    }
  });
}
