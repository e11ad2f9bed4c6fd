/** Visits the demo in Chromium, for pictures and measurements. */
import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import puppeteer from 'puppeteer-core';

/** Reading the shipped documents may come first. */
const TIMEOUT_MS = 600_000;

/**
 * @param {{width?: number, height?: number, tokens?: string, folder?: string}} [options] tokens: most of each document; folder: where the
 *   site goes, default build/site
 */
export async function openDemo({ width = 1280, height = 900, tokens, folder } = {}) {
  const script = fileURLToPath(new URL('serve.js', import.meta.url));
  const options = Object.entries({ tokens, folder }).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
  const server = spawn(process.execPath, [script, '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise((resolve, reject) => {
    server.stdout.on('data', (text) => {
      const found = /http\S+/.exec(String(text));
      if (found) resolve(found[0]);
    });
    server.on('exit', (code) => reject(new Error(`serve.js ended with ${code}`)));
  });
  const browser = await puppeteer.launch({
    browser: 'chrome',
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--force-device-scale-factor=1'],
  });
  const page = await browser.newPage();
  await page.setViewport({ width, height });
  await page.goto(url, { waitUntil: 'networkidle0' });
  const close = async () => {
    await browser.close();
    server.kill();
  };
  return { page, close };
}

/** Starts, waits for the first document, and asks. @param {import('puppeteer-core').Page} page @param {string} question */
export async function answered(page, question) {
  const idle = () => /** @type {HTMLElement} */ (document.getElementById('job')).hidden;
  const options = { timeout: TIMEOUT_MS, polling: 200 };
  await page.click('#start');
  await page.waitForFunction(() => document.body.dataset.stage === 'document', options);
  await page.waitForFunction(idle, options);
  await page.type('#question', question);
  await page.$eval('#conversation form', (form) => /** @type {HTMLFormElement} */ (form).requestSubmit());
  await page.waitForFunction(idle, options);
}
