/**
 * Measures the page in Chromium: its first paint, and how long the tasks of its main thread are while a model is loaded, a document read
 * and a question answered. Prints what it finds; `node demo/trace.js [--question TEXT]`.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';

import { answered, openDemo } from './visit.js';

const { question } = parseArgs({ options: { question: { type: 'string', default: 'Who does Alice follow?' } } }).values;
const { page, close } = await openDemo({ tokens: 512 });
try {
  const first = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  process.stdout.write(`first paint, without the model: ${first?.toFixed(0)} ms\n`);
  await page.evaluate(() => {
    const scope = /** @type {any} */ (globalThis);
    scope.tasks = [];
    // Tasks of 50 ms and more are reported.
    new PerformanceObserver((list) => scope.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
  });
  await answered(page, question);
  /** @type {number[]} */
  const tasks = await page.evaluate(() => /** @type {any} */ (globalThis).tasks);
  const longest = tasks.length === 0 ? 'under 50 ms' : `${Math.max(...tasks).toFixed(0)} ms`;
  process.stdout.write(`tasks of the main thread of 50 ms or more: ${tasks.length}; the longest: ${longest}\n`);
} finally {
  await close();
}
