/** For tests of the demo: its server, and pages in both browsers. */
import { spawn } from 'node:child_process';

import puppeteer from 'puppeteer-core';

export const TIMEOUT_MS = 120_000;
export const BROWSERS = /** @type {const} */ ({
  Chromium: { browser: 'chrome', executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] },
  Firefox: { browser: 'firefox', executablePath: '/usr/bin/firefox-esr' },
});

/**
 * Serves the demo from a process of its own, without snapshots of its documents unless `args` has another `--tokens`.
 * @param {{model: string, args?: string[]}} options model: path of the GGUF file that is its default one
 * @returns {Promise<{url: string, close: () => void}>}
 */
export async function serveDemo({ model, args = [] }) {
  const server = spawn(process.execPath, ['demo/serve.js', '--port', '0', '--tokens', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, HALFSPACE_TEST_MODEL: model },
  });
  const url = await new Promise((resolve, reject) => {
    server.stdout.on('data', (text) => {
      const address = /http\S+/.exec(String(text))?.[0];
      if (address) resolve(address);
    });
    server.on('exit', (code) => reject(new Error(`demo/serve.js ended with ${code}`)));
  });
  return { url, close: () => void server.kill() };
}

/**
 * A browser, and a page that notes what must not be there.
 * @param {keyof typeof BROWSERS} name
 * @param {{dark?: boolean}} [options] dark: its pages are. In Firefox that cannot change while it runs
 * @returns {Promise<{browser: import('puppeteer-core').Browser, newPage: () => Promise<import('puppeteer-core').Page>, problems: string[]}>}
 *   problems: errors of scripts and of the console in all of its pages
 */
export async function openBrowser(name, { dark = false } = {}) {
  const extraPrefsFirefox = dark ? { 'layout.css.prefers-color-scheme.content-override': 0 } : {};
  const browser = await puppeteer.launch({ ...BROWSERS[name], extraPrefsFirefox, headless: true });
  /** @type {string[]} */
  const problems = [];
  const newPage = async () => {
    const page = await browser.newPage();
    if (dark && name === 'Chromium') await darken(page);
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    return page;
  };
  return { browser, newPage, problems };
}

/** In Chromium. @param {import('puppeteer-core').Page} page */
export const darken = (page) => page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
