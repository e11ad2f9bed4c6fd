/** Our engine in a browser's page, for benches to drive from Node.js. */
import { openPage } from './browser.js';
import { bundled } from './bundle.js';

/**
 * @param {import('./browser.js').BrowserName} browser
 * @param {import('../../web/cli/common.js').ModelOptions} options
 * @param {number} capacity
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Ours>}
 */
export async function pageSubject(browser, options, capacity) {
  const page = await openPage(browser, await bundled('page-engine.js'), { model: options.model });
  try {
    return {
      name: 'halfspace',
      most: capacity,
      about: { runtime: page.browser },
      ...(await page.call('load', { ...options, ...page.urls }, capacity)),
      tokenize: (text) => page.call('tokenize', text),
      detokenize: (ids) => page.call('detokenize', ids),
      prefill: (ids, mode = 'dense') => page.call('prefill', ids, mode),
      round: (ids, mode = 'dense') => page.call('round', ids, mode),
      profileRound: (ids, mode) => page.call('profileRound', ids, mode),
      profilePrefill: (ids, mode) => page.call('profilePrefill', ids, mode),
      reset: () => page.call('reset'),
      close: page.close,
    };
  } catch (error) {
    await page.close();
    throw error;
  }
}
