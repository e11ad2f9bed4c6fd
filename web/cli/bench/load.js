/** `bench load`: from the model's file, its bytes local, to the first token of a short prompt: time, and peak memory. */
import { checkInteger } from '../../checks.js';
import { medianAndMin, round } from '../numbers.js';
import { barChart } from './chart.js';
import { checkout } from './checkout.js';
import { firstToken } from './first-token.js';
import { watchGrowth } from './process-memory.js';
import { environment, Report } from './report.js';
import { isBrowser } from './runtime.js';

const PROMPT = 'The capital of France is';
/** What may come on top of weights and KV cache. */
const ALLOWED_BYTES = 64 * 2 ** 20;

/**
 * @typedef {import('./first-token.js').FirstToken} FirstToken
 * @typedef {{first: FirstToken, growthBytes: number | undefined, runtime?: string}} Loaded growthBytes: of the process that
 *   computes, at its peak
 *
 * @param {import('../common.js').ModelOptions & {repeats: number, runtime?: string, out?: string}} options
 */
export async function load(options) {
  const repeats = checkInteger('repeats', options.repeats, 1, 100);
  /** @type {Loaded[]} */
  const all = [];
  for (let i = 0; i < repeats; i++) all.push(await loadOnce(options));
  const [{ first, growthBytes, runtime }] = all; // later loads take memory that the first one has left
  const where = environment(first.variant, { runtime, threads: first.threads });
  const result = {
    repeats,
    ms: medianAndMin(all.map((loaded) => loaded.first.ms)),
    firstMs: round(first.ms),
    loadMs: medianAndMin(all.map((loaded) => loaded.first.loadMs)),
    promptTokens: first.promptTokens,
    weightBytes: first.weightBytes,
    kvBytes: first.kvBytes,
    budgetBytes: first.weightBytes + first.kvBytes + ALLOWED_BYTES,
    coreBytes: first.coreBytes,
    growthBytes: growthBytes ?? null,
  };
  const report = new Report('load', where);
  describe(report, result);
  await report.publish({ ...where, kv: options.kv, ...result }, options);
}

/** @param {import('../common.js').ModelOptions & {runtime?: string}} options @returns {Promise<Loaded>} */
async function loadOnce(options) {
  if (isBrowser(options.runtime)) return (await checkout()).loadInPage(options.runtime, options, PROMPT);
  const growth = await watchGrowth(process.pid);
  const first = await firstToken(options.model, options, PROMPT);
  return { first, growthBytes: await growth() };
}

/**
 * @param {Report} report
 * @param {{repeats: number, ms: {median: number, min: number}, firstMs: number, loadMs: {median: number, min: number},
 *   promptTokens: number, weightBytes: number, kvBytes: number, budgetBytes: number, coreBytes: number, growthBytes: number | null}} result
 */
function describe(report, { repeats, ms, firstMs, loadMs, promptTokens, growthBytes, ...bytes }) {
  const MB = (/** @type {number} */ n) => round(n / 2 ** 20, 1);
  report.text(
    `From file to the first token after ${promptTokens} of a prompt: ${ms.median} ms, median of ${repeats}; at least ${ms.min}, the first time ${firstMs}; of it loading ${loadMs.median}`,
  );
  const known = [
    { name: 'weights in the file', value: MB(bytes.weightBytes) },
    { name: 'KV cache and scratch', value: MB(bytes.kvBytes) },
    { name: 'both and 64 MB', value: MB(bytes.budgetBytes) },
    { name: 'WebAssembly memory at its peak', value: MB(bytes.coreBytes) },
    ...(growthBytes === null ? [] : [{ name: 'process at its peak, growth', value: MB(growthBytes) }]),
  ];
  report.table(
    ['memory', 'MB'],
    known.map(({ name, value }) => [name, value]),
  );
  report.chart('Memory', barChart('Memory up to the first token, MB', known));
}
