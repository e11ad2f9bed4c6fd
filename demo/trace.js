/**
 * Measures the page in Chromium: its first paint, and how long the tasks of its main thread are while a model is loaded, a document read
 * and a question answered. Prints what it finds; `node demo/trace.js [--question TEXT] [--folder FOLDER]`.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';

import { answered, openDemo } from './visit.js';

const { question, folder } = parseArgs({
  options: { question: { type: 'string', default: 'Who does Alice follow?' }, folder: { type: 'string' } },
}).values;
const { page, close } = await openDemo({ tokens: '512', folder });
try {
  const first = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  process.stdout.write(`first paint, without the model: ${first?.toFixed(0)} ms\n`);
  await page.evaluate(() => {
    const scope = /** @type {any} */ (globalThis);
    scope.tasks = [];
    // Tasks of 50 ms and more are reported.
    new PerformanceObserver((list) => {
      const job = document.querySelector('#job strong')?.textContent || 'between jobs';
      scope.tasks.push(...list.getEntries().map(({ duration }) => ({ job, duration })));
    }).observe({ type: 'longtask' });
  });
  await answered(page, question);
  /** @type {{job: string, duration: number}[]} */
  const tasks = await page.evaluate(() => /** @type {any} */ (globalThis).tasks);
  process.stdout.write(`tasks of the main thread of 50 ms or more: ${tasks.length}\n`);
  for (const job of new Set(tasks.map((task) => task.job))) {
    const durations = tasks.filter((task) => task.job === job).map(({ duration }) => duration);
    process.stdout.write(`  ${job}: ${durations.length}, the longest ${Math.max(...durations).toFixed(0)} ms\n`);
  }
} finally {
  await close();
}
