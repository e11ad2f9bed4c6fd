/** A model's first token in a browser that was just started, and what the page's process took for it. */
import { readdir, readFile } from 'node:fs/promises';

import { watchGrowth } from '../../web/cli/bench/process-memory.js';
import { openPage } from './browser.js';
import { bundled } from './bundle.js';

/**
 * Processes that this one has started, and those that they have; none where there is no /proc.
 * @returns {Promise<number[]>}
 */
async function descendants() {
  const pids = (await readdir('/proc').catch(() => [])).map(Number).filter((pid) => pid > 0);
  const parents = new Map(
    await Promise.all(
      pids.map(async (pid) => {
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
        // The name, in parentheses, may hold anything.
        return /** @type {[number, number]} */ ([pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])]);
      }),
    ),
  );
  const comesFromHere = (/** @type {number | undefined} */ pid) => {
    for (let parent = parents.get(pid ?? 0); parent; parent = parents.get(parent)) if (parent === process.pid) return true;
    return false;
  };
  return pids.filter(comesFromHere);
}

/**
 * @param {import('./browser.js').BrowserName} browser
 * @param {import('../../web/cli/common.js').ModelOptions} options
 * @param {string} prompt
 * @returns {Promise<import('../../web/cli/bench/load.js').Loaded>}
 */
export async function loadInPage(browser, options, prompt) {
  const page = await openPage(browser, await bundled('page-load.js'), { model: options.model });
  try {
    await page.call('open', page.urls.model);
    const watched = await Promise.all((await descendants()).map(watchGrowth));
    const first = await page.call('load', options, prompt);
    const growths = (await Promise.all(watched.map((growth) => growth()))).filter((bytes) => bytes !== undefined);
    // The page's own process is the one that grows most.
    return { first, runtime: page.browser, growthBytes: growths.length > 0 ? Math.max(...growths) : undefined };
  } finally {
    await page.close();
  }
}
