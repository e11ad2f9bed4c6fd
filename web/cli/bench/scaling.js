/** `bench scaling`: how the time of a query and the bytes of a key grow with the number of keys. */
import { HsrIndex, KvCache } from '../../attention.js';
import { checkInteger } from '../../checks.js';
import { sharedWasm } from '../../core/shared.js';
import { capture, hasModel } from '../capture.js';
import { progress } from '../common.js';
import { mean, round, significant } from '../numbers.js';
import { lineChart } from './chart.js';
import { fitPower } from './fit.js';
import { continued, gaussian, NOISE, provenance } from './keys.js';
import { environment, Report } from './report.js';
import { timeInTurn } from './timing.js';
import { attendWays, indexWays, lookAll } from './ways.js';

const STEPS = 8;
const HEAD_DIM = 64;
const LEAST_SIZE = 128;
const MOST_SIZE = 2 ** 21;

/**
 * @typedef {import('./keys.js').Source} Source
 * @typedef {{median: number, min: number, calls: number, error: number, exactFraction: number, screenedFraction: number,
 *   denseFraction: number, work: number}} Figure error: mean relative error of the output against dense; fractions: see ways.js
 * @typedef {{n: number, appendUs: {cache: number, index: number}, bytesPerKey: {cache: number, index: number},
 *   bytesPerKeyLong: {cache: number, index: number}, ways: Record<string, Figure>}} Row
 */

/** @param {import('../common.js').ModelOptions & {file?: string, ctx: number, sizes: number[], layers: number[], out?: string}} options model: optional */
export async function scaling(options) {
  const sizes = options.sizes.map((n) => checkInteger('sizes', n, LEAST_SIZE, MOST_SIZE)).toSorted((a, b) => a - b);
  const wasm = { variant: options.variant };
  const { variant } = await sharedWasm(wasm);
  const where = environment(variant);
  const sources = [
    ...(await realSources(options)),
    { name: 'Gaussian keys', heads: [gaussian({ headDim: HEAD_DIM, kvHeads: 1, group: 1, steps: STEPS })] },
  ];
  const report = new Report('scaling', where);
  // The first calls run code that is not optimised yet.
  await measureHead(sources[0].heads[0], sizes[0], wasm);
  const results = [];
  for (const { name, heads } of sources) {
    const rows = await measureSizes(heads, sizes, wasm);
    const result = { name, queryHeads: heads[0].queries[0].length / heads[0].headDim, rows, exponents: exponents(rows) };
    results.push(result);
    describe(report, result);
  }
  await report.publish({ ...where, captured: hasModel(options) ? options.ctx : 0, noise: NOISE, sources: results }, options);
}

/**
 * @param {Parameters<typeof scaling>[0]} options
 * @returns {Promise<{name: string, heads: Source[]}[]>}
 */
async function realSources(options) {
  const { ctx, layers } = options;
  if (!hasModel(options)) return [];
  const captured = await capture(options, { layers, steps: STEPS });
  const name = provenance(captured.model, `KV head 0 of layers ${layers.join(', ')}`, ctx);
  return [{ name, heads: captured.layers.map(([first]) => continued(`layer ${first.layer}`, [first])) }];
}

/**
 * @param {Source[]} heads figures are means over them
 * @param {number[]} sizes
 * @param {import('../../core/wasm-loader.js').LoadOptions} wasm
 */
async function measureSizes(heads, sizes, wasm) {
  const bar = progress('measuring', 'caches');
  const rows = [];
  for (const [i, n] of sizes.entries()) {
    const each = [];
    for (const [h, head] of heads.entries()) {
      bar.update(i * heads.length + h, sizes.length * heads.length);
      each.push(await measureHead(head, n, wasm));
    }
    rows.push(meanRow(each));
  }
  bar.stop();
  return rows;
}

/**
 * @param {Source} source of one KV head
 * @param {number} n
 * @param {import('../../core/wasm-loader.js').LoadOptions} wasm
 * @param {import('../../attention/attend.js').AttendOptions} [always] for all ways of attend()
 * @returns {Promise<Row>}
 */
export async function measureHead(source, n, wasm, always) {
  const { headDim, queries } = source;
  const cache = await KvCache.create({ headDim, wasm });
  const index = await HsrIndex.create({ headDim, wasm });
  try {
    const ms = { cache: 0, index: 0 };
    for (const rows of source.rows(n)) {
      const began = performance.now();
      cache.append(rows);
      const between = performance.now();
      index.append(rows.keys);
      ms.cache += between - began;
      ms.index += performance.now() - between;
    }
    const ways = { ...attendWays(cache, queries, always), ...indexWays(cache, index, queries) };
    const looks = lookAll(ways, queries.length, headDim);
    const times = await timeInTurn(Object.fromEntries(Object.entries(ways).map(([name, { run }]) => [name, run])), queries.length);
    return {
      n,
      appendUs: { cache: (1000 * ms.cache) / n, index: (1000 * ms.index) / n },
      bytesPerKey: { cache: cache.memoryBytes / n, index: index.memoryBytes / n },
      bytesPerKeyLong: { cache: cache.bytesPerKey, index: index.bytesPerKey },
      ways: Object.fromEntries(Object.keys(ways).map((name) => [name, { ...times[name], ...looks[name] }])),
    };
  } finally {
    cache.free();
    index.free();
  }
}

/** @param {Row[]} rows of one n @returns {Row} */
export function meanRow(rows) {
  const over = (/** @type {(row: Row) => number} */ pick, digits = 4) => significant(mean(rows.map(pick)), digits);
  const ways = Object.keys(rows[0].ways).map((name) => {
    const fields = /** @type {(keyof Figure)[]} */ (Object.keys(rows[0].ways[name]));
    return [name, Object.fromEntries(fields.map((field) => [field, over((row) => row.ways[name][field])]))];
  });
  return {
    n: rows[0].n,
    appendUs: { cache: over((row) => row.appendUs.cache), index: over((row) => row.appendUs.index) },
    bytesPerKey: { cache: over((row) => row.bytesPerKey.cache), index: over((row) => row.bytesPerKey.index) },
    bytesPerKeyLong: rows[0].bytesPerKeyLong,
    ways: Object.fromEntries(ways),
  };
}

/**
 * x of ms ~ n^x.
 * @param {Row[]} rows
 * @returns {Record<string, number | null>} null: one size alone
 */
function exponents(rows) {
  return Object.fromEntries(
    Object.keys(rows[0].ways).map((name) => {
      const points = rows.filter(({ ways }) => name in ways).map(({ n, ways }) => ({ n, value: ways[name].median }));
      return [name, points.length > 1 ? fitPower(points).exponent : null];
    }),
  );
}

/** @param {Report} report @param {{name: string, queryHeads: number, rows: Row[], exponents: Record<string, number | null>}} result */
function describe(report, { name, queryHeads, rows, exponents: fitted }) {
  report.text(
    `\n${name}\n${queryHeads} query head(s) of one KV head per step: ms (error of the output against dense, %); * mostly dense, as that was cheaper`,
  );
  const names = Object.keys(rows[0].ways);
  const cell = (/** @type {Figure | undefined} */ figure) =>
    figure ? `${significant(figure.median)}${figure.denseFraction > 0.5 ? '*' : ''} (${significant(100 * figure.error, 2)})` : '-';
  report.table(
    ['keys', ...names],
    [
      ...rows.map(({ n, ways }) => [n, ...names.map((way) => cell(ways[way]))]),
      ['ms ~ n^x, x =', ...names.map((way) => fitted[way] ?? '-')],
    ],
  );
  const { cache, index } = rows[0].bytesPerKeyLong;
  report.text(`\nbytes per key with room to grow and scratch; in a long cache ${cache}, index ${index}`);
  report.table(
    ['keys', 'append us/key cache', 'index', 'bytes/key cache', 'index'],
    rows.map(({ n, appendUs, bytesPerKey }) => [
      n,
      round(appendUs.cache),
      round(appendUs.index),
      round(bytesPerKey.cache, 1),
      round(bytesPerKey.index, 1),
    ]),
  );
  report.chart(
    name,
    lineChart(
      `Time of a step over the number of keys: ${name.split(':')[0]}`,
      { x: 'keys', y: 'ms per step' },
      names.map((way) => ({
        name: way,
        points: rows.filter(({ ways }) => way in ways).map(({ n, ways }) => [n, ways[way].median]),
      })),
    ),
  );
}
