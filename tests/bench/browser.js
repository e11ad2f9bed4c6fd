/** A page of Chromium or Firefox, cross-origin isolated, that calls can be made in. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import sirv from 'sirv';

import { notInstalled } from './installed.js';

const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const PATHS = { chromium: '/usr/bin/chromium', firefox: '/usr/bin/firefox-esr' };
const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * @typedef {'chromium' | 'firefox'} BrowserName
 * @typedef {Partial<Record<'model' | 'file', string>>} Files paths
 *
 * @typedef {object} Page
 * @property {Files} urls of the files
 * @property {(method: string, ...args: any[]) => Promise<any>} call of globalThis.bench
 * @property {string} browser its name and version
 * @property {() => Promise<void>} close
 */

/** @param {string} url of a folder, relative to this file */
const folder = (url) => fileURLToPath(new URL(url, import.meta.url));

/** Where a page finds a file. @param {string} route @param {string} path */
const urlOf = (route, path) => `/${route}/${encodeURIComponent(basename(path))}`;

/**
 * Serves the build, the peers, and files.
 * @param {Files} given
 * @returns {Promise<import('node:http').Server>}
 */
async function serve(given) {
  const setHeaders = (/** @type {import('node:http').ServerResponse} */ response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  };
  const folders = { build: folder('../../build'), pages: folder('../../build/bench-pages'), peers: folder('node_modules') };
  const all = { ...folders, ...Object.fromEntries(Object.entries(given).map(([name, path]) => [name, dirname(path)])) };
  const routes = Object.fromEntries(Object.entries(all).map(([name, path]) => [name, sirv(path, { dev: true, setHeaders })]));
  const server = createServer((request, response) => {
    const [, route, ...rest] = (request.url ?? '/').split('/');
    if (route === '') {
      setHeaders(response);
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><title>bench</title>');
    } else if (route in routes) {
      request.url = `/${rest.join('/')}`;
      routes[route](request, response);
    } else {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  return server;
}

/** An empty page. @param {BrowserName} name */
export async function launch(name) {
  try {
    if (name === 'chromium') {
      const browser = await chromium.launch({ executablePath: PATHS[name], args: CHROMIUM_ARGS });
      return { browser, version: `Chromium ${browser.version()}`, page: /** @type {any} */ (await browser.newPage()) };
    }
    const browser = await puppeteer.launch({ browser: 'firefox', executablePath: PATHS[name], headless: true, protocolTimeout: 0 });
    return {
      browser,
      version: (await browser.version()).replace('firefox/', 'Firefox '),
      page: /** @type {any} */ (await browser.newPage()),
    };
  } catch (cause) {
    throw existsSync(PATHS[name]) ? cause : notInstalled(name, cause);
  }
}

/**
 * Opens a page and runs a module in it, which sets globalThis.bench.
 * @param {BrowserName} name
 * @param {string} module path on the server
 * @param {{model?: string, file?: string}} [paths] of files that the page may read
 * @returns {Promise<Page>}
 */
export async function openPage(name, module, { model, file } = {}) {
  /** @type {Files} */
  const files = { ...(model !== undefined && { model }), ...(file !== undefined && { file }) };
  const server = await serve(files);
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
      urls: Object.fromEntries(Object.entries(files).map(([route, path]) => [route, urlOf(route, path)])),
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
