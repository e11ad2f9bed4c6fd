/** What axe-core finds in a page. */
import { createRequire } from 'node:module';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string[]} [selectors] parts of the page, default all of it
 * @returns {Promise<string[]>} violations, each with its first element
 */
export async function axeViolations(page, selectors) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.addScriptTag({ path: AXE });
  return page.evaluate(async (include) => {
    const { violations } = await /** @type {any} */ (window).axe.run(include ? { include: include.map((one) => [one]) } : document);
    return violations.map((/** @type {any} */ { id, help, nodes }) => `${id}: ${help}: ${nodes[0].html}`);
  }, selectors);
}
