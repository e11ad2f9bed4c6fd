/** Benches of our engine alone that run in a browser's page as they are. */
import { openPage } from './browser.js';
import { bundled } from './bundle.js';

/**
 * @param {import('./browser.js').BrowserName} browser
 * @param {string} name of the bench
 * @param {{model?: string, file?: string}} options
 * @returns {Promise<{browser: string, noted: import('./page-report.js').Noted}>}
 */
export async function benchInPage(browser, name, options) {
  const page = await openPage(browser, await bundled('page-bench.js'), options);
  try {
    return { browser: page.browser, noted: await page.call('run', name, { ...options, ...page.urls }) };
  } finally {
    await page.close();
  }
}
