/** A folder served under a strict policy, in a page of a browser that notes whatever is against it. */
import { once } from 'node:events';
import { createServer } from 'node:http';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import sirv from 'sirv';

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'";
const ISOLATION = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/** @param {string} folder @param {boolean} isolated @param {string[]} problems gains what pages and workers report */
async function serve(folder, isolated, problems) {
  // Workers' violations are no events of the page: the reports tell of both.
  const headers = { 'content-security-policy': `${POLICY}; report-uri /violation`, ...(isolated && ISOLATION) };
  const files = sirv(folder, {
    dev: true,
    setHeaders: (response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    },
  });
  const server = createServer(async (request, response) => {
    if (request.url === '/favicon.ico') return response.writeHead(204).end();
    if (request.url !== '/violation') return files(request, response);
    let report = '';
    for await (const part of request) report += part;
    problems.push(`violation: ${report}`);
    return response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

/** Before anything of the page runs: workers and violations are noted. */
function note() {
  const page = /** @type {any} */ (globalThis);
  page.violations = [];
  page.workers = [];
  document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    page.violations.push(`${violatedDirective} ${blockedURI}`),
  );
  page.Worker = class extends Worker {
    /** @param {ConstructorParameters<typeof Worker>} args */
    constructor(...args) {
      super(...args);
      page.workers.push(this);
    }
  };
}

/** @typedef {'chromium' | 'firefox'} Name */

/** One of each for all pages. @type {Map<Name, Promise<{close: () => Promise<void>, open: () => Promise<any>}>>} */
const browsers = new Map();

/** @param {Name} name */
async function launch(name) {
  if (name === 'chromium') {
    const browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run'],
    });
    const open = async () => {
      const page = await browser.newPage();
      await page.addInitScript(note);
      return page;
    };
    return { close: () => browser.close(), open };
  }
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true });
  const open = async () => {
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(note);
    return page;
  };
  return { close: () => browser.close(), open };
}

export async function closeBrowsers() {
  for (const browser of browsers.values()) await (await browser).close();
}

/**
 * @param {Name} name
 * @param {string} folder
 * @param {{isolated?: boolean}} options
 * @param {(call: (method: string, ...args: unknown[]) => Promise<any>, problems: () => Promise<string[]>) => Promise<void>} run
 *   call: of globalThis.app; problems: violations, messages of errors, and errors that nobody caught, so far
 */
export async function inStrictPage(name, folder, { isolated = false }, run) {
  /** @type {string[]} */
  const problems = [];
  const server = await serve(folder, isolated, problems);
  if (!browsers.has(name)) browsers.set(name, launch(name));
  const page = await (await browsers.get(name))?.open();
  try {
    page.on(
      'console',
      (/** @type {any} */ message) => ['error', 'warn', 'warning'].includes(message.type()) && problems.push(message.text()),
    );
    page.on('pageerror', (/** @type {Error} */ error) => problems.push(String(error)));
    await page.goto(`http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`);
    await page.waitForFunction(() => 'app' in globalThis);
    await run(
      (method, ...args) => page.evaluate((/** @type {any} */ [m, a]) => /** @type {any} */ (globalThis).app[m](...a), [method, args]),
      async () => [...problems, ...(await page.evaluate(() => /** @type {any} */ (globalThis).violations))],
    );
  } finally {
    await page.close();
    server.closeAllConnections();
    server.close();
  }
}
