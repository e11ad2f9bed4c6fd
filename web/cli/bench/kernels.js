/**
 * `bench kernels`: what each kernel does per second, beside the same kernel compiled natively (SIMDe, -march=native) and beside a
 * plain native loop of the same work, in turn. The faster one of these two is the roofline that shares are of.
 */
import { checkInteger } from '../../checks.js';
import { badArgument } from '../../errors.js';
import { significant } from '../numbers.js';
import { barChart } from './chart.js';
import { checkout } from './checkout.js';
import { ratioOf, spread } from './ratios.js';
import { environment, Report } from './report.js';
import { isBrowser } from './runtime.js';

/**
 * @typedef {import('../../../tests/bench/kernels.js').Kernels} Kernels
 * @typedef {import('../../../tests/bench/kernels.js').MeasuredKernels} MeasuredKernels
 *
 * @typedef {object} Options
 * @property {string[]} [only] beginnings of names
 * @property {number} repeats
 * @property {number} ms of each measurement
 * @property {'auto' | 'relaxed' | 'simd'} [variant]
 * @property {string} [runtime]
 * @property {boolean} [json]
 * @property {string} [out]
 *
 * @typedef {{median: number, max: number}} Speed 10^9 operations per second
 *
 * @typedef {object} Row
 * @property {string} kernel
 * @property {number} operations multiply-adds of one pass, or elements where a kernel has none
 * @property {number} bytes that one pass reads
 * @property {Speed} wasm
 * @property {Speed} nativeKernel
 * @property {Speed} nativeLoop
 * @property {number} bytesPerSecond wasm, median
 * @property {import('./ratios.js').Ratio} share of the faster native one's speed, over rounds
 * @property {number} error relative, against f64
 */

/** @param {Options} options */
export async function kernels(options) {
  const repeats = checkInteger('repeats', options.repeats, 1, 1000);
  const ms = checkInteger('ms', options.ms, 1, 10_000);
  const of = await checkout();
  const wasm = isBrowser(options.runtime) ? await of.pageKernels(options.runtime, options.variant) : await of.localKernels(options.variant);
  try {
    const native = await of.nativeKernels();
    try {
      /** @type {Row[]} */
      const rows = [];
      for (const index of chosen(wasm.names, options.only)) rows.push(await measure(wasm, native, index, repeats, ms));
      const where = environment(wasm.variant, { runtime: wasm.runtime });
      const report = new Report('kernels', where);
      describe(report, rows, repeats);
      await report.publish({ ...where, repeats, rows }, options);
    } finally {
      await native.close();
    }
  } finally {
    await wasm.close();
  }
}

/** @param {string[]} names @param {string[]} [only] */
function chosen(names, only) {
  const indices = names.flatMap((name, i) => (only === undefined || only.some((start) => name.startsWith(start)) ? [i] : []));
  if (indices.length === 0) throw badArgument('only', `names none of the kernels: ${names.join('; ')}`, only, names);
  return indices;
}

/** @param {MeasuredKernels} wasm @param {Kernels} native @param {number} index @param {number} repeats @param {number} ms */
async function measure(wasm, native, index, repeats, ms) {
  await wasm.prepare(index);
  await native.prepare(index);
  const { operations, bytes } = await wasm.work();
  const ways = {
    wasm: { build: wasm, what: /** @type {const} */ ('kernel') },
    nativeKernel: { build: native, what: /** @type {const} */ ('kernel') },
    nativeLoop: { build: native, what: /** @type {const} */ ('loop') },
  };
  /** @type {Record<keyof typeof ways, number>} */
  const passes = { wasm: 1, nativeKernel: 1, nativeLoop: 1 };
  for (const [name, { build, what }] of entries(ways)) passes[name] = await passesFor(build, what, ms);
  /** @type {Record<keyof typeof ways, number[]>} */
  const times = { wasm: [], nativeKernel: [], nativeLoop: [] };
  for (let i = 0; i < repeats; i++)
    for (const [name, { build, what }] of entries(ways)) times[name].push((await build.run(what, passes[name])) / passes[name]);
  const fastest = times.nativeKernel.map((t, i) => Math.min(t, times.nativeLoop[i]));
  const speeds = /** @type {Record<keyof typeof ways, Speed>} */ (
    Object.fromEntries(entries(times).map(([name, all]) => [name, speedOf(all, operations)]))
  );
  return {
    kernel: wasm.names[index],
    operations,
    bytes,
    ...speeds,
    bytesPerSecond: significant((speeds.wasm.median * 1e9 * bytes) / operations),
    share: ratioOf(fastest, times.wasm),
    error: significant(await wasm.error()),
  };
}

/** @template {string} K, V @param {Record<K, V>} object */
const entries = (object) => /** @type {[K, V][]} */ (Object.entries(object));

/** For so long kernels run before they are measured: engines compile them better meanwhile. */
const WARM_UP_MS = 100;

/** How many passes take about so long. @param {Kernels} build @param {'kernel' | 'loop'} what @param {number} ms */
async function passesFor(build, what, ms) {
  let passes = 1;
  for (let warm = 0; ;) {
    const taken = await build.run(what, passes);
    warm += taken;
    if (taken < ms / 2) passes *= 2;
    else if (warm >= WARM_UP_MS) return Math.max(1, Math.round((passes * ms) / taken));
  }
}

/** @param {number[]} ms per pass @param {number} operations @returns {Speed} */
function speedOf(ms, operations) {
  const sorted = ms.toSorted((a, b) => a - b);
  const speed = (/** @type {number} */ t) => significant(operations / (1e6 * t));
  return { median: speed(sorted[sorted.length >> 1]), max: speed(sorted[0]) };
}

/** @param {Report} report @param {Row[]} rows @param {number} repeats */
function describe(report, rows, repeats) {
  report.text(
    `10^9 operations per second (multiply-adds, or elements where there are none), medians of ${repeats} rounds, all in turn; natively the same kernel and a plain loop of the same work, clang -O3 -march=native; share of the faster one: median (least..most) of rounds; error: relative, against f64`,
  );
  report.table(
    ['kernel', 'wasm', 'GB/s', 'native', 'native loop', 'share', 'error'],
    rows.map((row) => [
      row.kernel,
      row.wasm.median,
      significant(row.bytesPerSecond / 1e9),
      row.nativeKernel.median,
      row.nativeLoop.median,
      spread(row.share),
      row.error,
    ]),
  );
  report.chart(
    'Share of native speed',
    barChart(
      'Kernels in WebAssembly: share of native speed',
      rows.map(({ kernel, share }) => ({ name: kernel, value: share.median })),
    ),
  );
}
