/** What a page's main thread did while a trace of Chromium was taken. */

const CATEGORIES = ['devtools.timeline', 'disabled-by-default-devtools.timeline', 'toplevel'];

/**
 * @param {import('puppeteer-core').Page} page
 * @param {() => Promise<unknown>} work
 * @returns {Promise<{wallMs: number, cpuMs: number}[]>} tasks, the longest first. While other processes want the processor, their
 *   time is in wallMs too
 */
export async function longestTasks(page, work) {
  await page.tracing.start({ categories: CATEGORIES });
  await work();
  const trace = /** @type {Uint8Array} */ (await page.tracing.stop());
  /** @type {{traceEvents: any[]}} */
  const { traceEvents } = JSON.parse(new TextDecoder().decode(trace));
  const thread = (/** @type {any} */ { pid, tid }) => `${pid} ${tid}`;
  const mains = new Set(traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(thread));
  return traceEvents
    .filter((event) => event.name === 'RunTask' && mains.has(thread(event)))
    .map(({ dur = 0, tdur = 0 }) => ({ wallMs: dur / 1000, cpuMs: tdur / 1000 }))
    .sort((a, b) => b.wallMs - a.wallMs);
}
