/** A page of Chromium or Firefox, cross-origin isolated, that calls can be made in. */
import { createServer } from 'node:http';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import sirv from 'sirv';

const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * @typedef {object} Page
 * @property {(method: string, ...args: any[]) => Promise<any>} call of globalThis.bench
 * @property {string} browser its name and version
 * @property {() => Promise<void>} close
 */

/** @param {string} url of a folder, relative to this file */
const folder = (url) => fileURLToPath(new URL(url, import.meta.url));

/**
 * Serves the build, the peers and the model.
 * @param {string} model path
 * @returns {Promise<import('node:http').Server>}
 */
async function serve(model) {
  const setHeaders = (/** @type {import('node:http').ServerResponse} */ response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  };
  const files = (/** @type {string} */ path) => sirv(path, { dev: true, setHeaders });
  const routes = { build: files(folder('../../build')), peers: files(folder('node_modules')), model: files(dirname(model)) };
  const server = createServer((request, response) => {
    const [, route, ...rest] = (request.url ?? '/').split('/');
    if (route === '') {
      setHeaders(response);
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><title>bench</title>');
    } else if (route in routes) {
      request.url = `/${rest.join('/')}`;
      routes[/** @type {keyof typeof routes} */ (route)](request, response);
    } else {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  return server;
}

/** @param {'chromium' | 'firefox'} name */
async function launch(name) {
  if (name === 'chromium') {
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: CHROMIUM_ARGS });
    return { browser, version: `Chromium ${browser.version()}`, page: /** @type {any} */ (await browser.newPage()) };
  }
  const options = { browser: /** @type {const} */ ('firefox'), executablePath: '/usr/bin/firefox-esr', headless: true, protocolTimeout: 0 };
  const browser = await puppeteer.launch(options);
  return { browser, version: (await browser.version()).replace('/', ' '), page: /** @type {any} */ (await browser.newPage()) };
}

/**
 * Opens a page and runs a module in it, which sets globalThis.bench.
 * @param {'chromium' | 'firefox'} name
 * @param {string} model path
 * @param {string} module path under build/ or peers/
 * @returns {Promise<Page>}
 */
export async function openPage(name, model, module) {
  const server = await serve(model);
  try {
    const { browser, version, page } = await launch(name);
    const url = `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`;
    try {
      await page.goto(url);
      await page.evaluate((/** @type {string} */ path) => import(path), new URL(module, url).href);
    } catch (error) {
      await browser.close();
      throw error;
    }
    return {
      browser: version,
      call: (method, ...args) =>
        page.evaluate((/** @type {{method: string, args: any[]}} */ of) => /** @type {any} */ (globalThis).bench[of.method](...of.args), {
          method,
          args,
        }),
      async close() {
        await browser.close();
        server.closeAllConnections();
        server.close();
      },
    };
  } catch (error) {
    server.closeAllConnections();
    server.close();
    throw error;
  }
}

/** Where the page finds the model. @param {string} path */
export const modelUrl = (path) => `/model/${encodeURIComponent(basename(path))}`;
