/** `bench theory`: half-space reporting where theory has it sublinear, beside a full scan, and in the dimensions of attention. */
import { HsrIndex, PartitionTree } from '../../attention.js';
import { checkInteger } from '../../checks.js';
import { sharedWasm } from '../../core/shared.js';
import { badArgument } from '../../errors.js';
import { progress } from '../common.js';
import { mean, percent, significant } from '../numbers.js';
import { fitCurve, fitPower } from './fit.js';
import { gaussianKeys, POINTS, randomQueries } from './points.js';
import { environment, Report } from './report.js';
import { timeInTurn } from './timing.js';

const TREE_DIMS = [2, 3, 4];
const INDEX_DIMS = [16, 64];
const REPORTED = 16;
const QUERIES = 16;
const LEAST_SIZE = 64;
const MOST_SIZE = 2 ** 20;

/**
 * @typedef {import('../../core/wasm-loader.js').LoadOptions} LoadOptions
 * @typedef {{power: number, fitted: number}} Theory power of n, 0 for a logarithm; fitted: x of the n^x that fits it over
 *   the sizes measured
 * @typedef {{exponent: number, rms: number, rmsOfTheory: number}} Growth n^exponent fits with relative errors of rms,
 *   a + b * theory's bound with rmsOfTheory
 * @typedef {{n: number, nodes: number, keys: number, treeUs: number, scanUs: number}} TreeRow work of a query that reports
 *   REPORTED keys, and medians of its time
 * @typedef {{d: number, keys: string, theory: Theory, rows: TreeRow[], growth: Record<'work' | 'tree' | 'scan', Growth>}} TreeResult
 * @typedef {{n: number, leaves: number, screened: number, refined: number, exact: number, indexUs: number, bruteUs: number}} IndexRow
 * @typedef {{d: number, theory: Theory, rows: IndexRow[], growth: Record<'work' | 'index' | 'brute', Growth>}} IndexResult
 */

/** @param {{variant: 'auto' | 'relaxed' | 'simd', json?: boolean, out?: string, sizes: number[]}} options */
export async function theory(options) {
  const given = options.sizes.map((n) => checkInteger('sizes', n, LEAST_SIZE, MOST_SIZE));
  const sizes = [...new Set(given)].sort((a, b) => a - b);
  if (sizes.length < 2) throw badArgument('sizes', 'must be two or more, to grow', sizes.length, 2);
  const wasm = { variant: options.variant };
  const where = environment((await sharedWasm(wasm)).variant);
  // The first calls run code that is not optimised yet.
  await measureTree(POINTS[0], sizes[0], 2, wasm);
  await measureIndex(sizes[0], INDEX_DIMS[0], wasm);
  const bar = progress('measuring', 'indexes');
  const [trees, indexes] = [/** @type {TreeResult[]} */ ([]), /** @type {IndexResult[]} */ ([])];
  const all = TREE_DIMS.length * POINTS.length + INDEX_DIMS.length;
  for (const d of TREE_DIMS) {
    for (const points of POINTS) {
      bar.update(trees.length, all);
      /** @type {TreeRow[]} */
      const rows = [];
      for (const n of sizes) rows.push(await measureTree(points, n, d, wasm));
      const grown = (/** @type {(row: TreeRow) => number} */ value) => growthOf(rows, value, d);
      const growth = { work: grown(workOf), tree: grown((row) => row.treeUs), scan: grown((row) => row.scanUs) };
      trees.push({ d, keys: points.name, theory: theoryOf(d, sizes), rows, growth });
    }
  }
  for (const d of INDEX_DIMS) {
    bar.update(trees.length + indexes.length, all);
    /** @type {IndexRow[]} */
    const rows = [];
    for (const n of sizes) rows.push(await measureIndex(n, d, wasm));
    const grown = (/** @type {(row: IndexRow) => number} */ value) => growthOf(rows, value, d);
    const growth = { work: grown(productsOf), index: grown((row) => row.indexUs), brute: grown((row) => row.bruteUs) };
    indexes.push({ d, theory: theoryOf(d, sizes), rows, growth });
  }
  bar.stop();
  const notes = [...TREE_DIMS.map((d) => treeNote(trees.filter((tree) => tree.d === d))), ...indexes.map(indexNote)];
  const report = new Report('theory', where);
  report.text(`reports of ${REPORTED} keys, ${QUERIES} queries`);
  for (const d of TREE_DIMS)
    describeTrees(
      report,
      trees.filter((tree) => tree.d === d),
    );
  for (const index of indexes) describeIndex(report, index);
  report.text(
    `\nWhere theory and practice part, by the exponent of n or, where it fits better, a + b times the bound\n${notes.map((note) => `- ${note}`).join('\n')}`,
  );
  await report.publish({ ...where, reported: REPORTED, queries: QUERIES, trees, indexes, notes }, options);
}

/** @param {TreeRow} row */
const workOf = ({ nodes, keys }) => nodes + keys;

/** @param {IndexRow} row */
const productsOf = ({ screened, refined, exact }) => screened + refined + exact;

/** Keys reported left out: n^(1 - 1/floor(d/2)), a logarithm for d = 2, 3. @param {number} d */
export const powerOf = (d) => 1 - 1 / Math.floor(d / 2);

/** @param {number} d @returns {(n: number) => number} */
export const boundOf = (d) => (powerOf(d) === 0 ? Math.log2 : (n) => n ** powerOf(d));

/** @param {number} d @param {number[]} sizes @returns {Theory} */
function theoryOf(d, sizes) {
  return { power: powerOf(d), fitted: fitPower(sizes.map((n) => ({ n, value: boundOf(d)(n) }))).exponent };
}

/**
 * @template {{n: number}} R
 * @param {R[]} rows
 * @param {(row: R) => number} value
 * @param {number} d
 * @returns {Growth}
 */
function growthOf(rows, value, d) {
  const points = rows.map((row) => ({ n: row.n, value: value(row) }));
  const { exponent, rms } = fitPower(points);
  return { exponent, rms: significant(rms), rmsOfTheory: significant(fitCurve(points, boundOf(d))) };
}

/**
 * @param {import('./points.js').Points} points
 * @param {number} n
 * @param {number} d
 * @param {LoadOptions} wasm
 * @returns {Promise<TreeRow>}
 */
export async function measureTree(points, n, d, wasm) {
  const keys = points.keys(n, d);
  const queries = points.queries(QUERIES, d);
  const tree = await PartitionTree.create({ keys, dim: d, wasm });
  try {
    const thresholds = queries.map((q) => tree.top(q, REPORTED).products[REPORTED - 1]);
    const ways = {
      tree: (/** @type {number} */ i) => tree.report(queries[i], thresholds[i]),
      scan: (/** @type {number} */ i) => scan(keys, d, queries[i], thresholds[i]),
    };
    const looks = queries.map((_, i) => {
      const [{ positions, stats }, scanned] = [ways.tree(i), ways.scan(i)];
      const same = positions.toSorted().every((p, at) => p === scanned[at]) && positions.length === scanned.length;
      if (!same) throw new Error(`a tree of ${n} ${points.name} keys in ${d} dimensions reports others than a scan`);
      return stats;
    });
    const times = await timeInTurn(ways, queries.length);
    return {
      n,
      nodes: significant(mean(looks.map(({ nodesVisited }) => nodesVisited)), 4),
      keys: significant(mean(looks.map(({ keysTested }) => keysTested)), 4),
      treeUs: significant(1000 * times.tree.median),
      scanUs: significant(1000 * times.scan.median),
    };
  } finally {
    tree.free();
  }
}

/**
 * Positions of the keys with product >= b, by a look at each.
 * @param {Float32Array} keys
 * @param {number} d
 * @param {Float32Array} q
 * @param {number} b
 */
function scan(keys, d, q, b) {
  const found = [];
  for (let at = 0, position = 0; at < keys.length; at += d, position++) {
    let sum = 0;
    for (let i = 0; i < d; i++) sum += q[i] * keys[at + i];
    if (Math.fround(sum) >= b) found.push(position);
  }
  return found;
}

/**
 * @param {number} n
 * @param {number} d
 * @param {LoadOptions} wasm
 * @returns {Promise<IndexRow>}
 */
async function measureIndex(n, d, wasm) {
  const queries = randomQueries(QUERIES, d);
  const index = await HsrIndex.create({ headDim: d, keys: gaussianKeys(n, d), wasm });
  try {
    const thresholds = queries.map((q) => index.top(q, REPORTED).products[REPORTED - 1]);
    const ways = {
      index: (/** @type {number} */ i) => index.report(queries[i], thresholds[i]),
      brute: (/** @type {number} */ i) => index.report(queries[i], thresholds[i], { strategy: 'brute' }),
    };
    const looks = queries.map((_, i) => ways.index(i).stats);
    const over = (/** @type {(stats: typeof looks[0]) => number} */ pick) => significant(mean(looks.map(pick)), 4);
    const times = await timeInTurn(ways, queries.length);
    return {
      n,
      leaves: over(({ leavesBounded }) => leavesBounded),
      screened: over(({ keysScreened }) => keysScreened),
      refined: over(({ keysRefined }) => keysRefined),
      exact: over(({ keysExact }) => keysExact),
      indexUs: significant(1000 * times.index.median),
      bruteUs: significant(1000 * times.brute.median),
    };
  } finally {
    index.free();
  }
}

/** @param {number} d */
const boundName = (d) => (powerOf(d) === 0 ? 'log n' : `n^(1 - 1/${Math.floor(d / 2)})`);

/** @param {Report} report @param {TreeResult[]} trees of one dimension */
function describeTrees(report, trees) {
  const [{ d, rows, growth }] = trees;
  report.text(`\nd = ${d}, partition tree: nodes + keys looked at (us); a scan looks at every key (us, in JavaScript)`);
  const fits = (/** @type {string} */ name, /** @type {(tree: TreeResult) => number | string} */ pick, scanned = '') => [
    name,
    ...trees.map((tree) => pick(tree)),
    scanned,
  ];
  report.table(
    ['keys', ...trees.map(({ keys }) => keys), 'scan'],
    [
      ...rows.map(({ n, scanUs }, i) => [
        n,
        ...trees.map((tree) => `${Math.round(workOf(tree.rows[i]))} (${tree.rows[i].treeUs})`),
        `${n} (${scanUs})`,
      ]),
      fits('time ~ n^x, x =', (tree) => tree.growth.tree.exponent, String(growth.scan.exponent)),
      fits('work ~ n^x, x =', (tree) => tree.growth.work.exponent, '1'),
      fits(`theory, ${boundName(d)}, fits x =`, (tree) => tree.theory.fitted),
      fits('work off n^x by %', (tree) => percent(tree.growth.work.rms, 1)),
      fits(`work off a + b ${boundName(d)} by %`, (tree) => percent(tree.growth.work.rmsOfTheory, 1)),
    ],
  );
}

/** @param {Report} report @param {IndexResult} result */
function describeIndex(report, { d, theory: { fitted }, rows, growth }) {
  report.text(`\nd = ${d}, HsrIndex, Gaussian keys: work of a query; brute force looks at every key in 8 bits`);
  report.table(
    ['keys', 'leaves bounded', 'screened', 'refined', 'exact', 'products', 'us', 'brute force us'],
    [
      ...rows.map((row) => [
        row.n,
        row.leaves,
        row.screened,
        row.refined,
        row.exact,
        Math.round(productsOf(row)),
        row.indexUs,
        row.bruteUs,
      ]),
      ['~ n^x, x =', '', '', '', '', growth.work.exponent, growth.index.exponent, growth.brute.exponent],
      [`theory, ${boundName(d)}, x =`, '', '', '', '', fitted, '', ''],
    ],
  );
}

/** Whether the work of a query grows as theory has it, or more slowly; few sizes tell little. @param {TreeResult} tree */
function isWithin({ theory: { fitted }, growth: { work } }) {
  return work.exponent <= fitted || work.rmsOfTheory <= work.rms;
}

/** The least size from which the tree is always faster than a scan. @param {TreeResult} tree */
function crossover({ rows }) {
  const slower = rows.findLast(({ treeUs, scanUs }) => treeUs >= scanUs);
  return rows.find(({ n }) => !slower || n > slower.n)?.n ?? Infinity;
}

/** @param {TreeResult[]} trees of one dimension */
function treeNote(trees) {
  const [{ d }] = trees;
  const named = (/** @type {boolean} */ within) =>
    trees
      .filter((tree) => isWithin(tree) === within)
      .map(({ keys, growth: { work } }) => `${keys} (n^${work.exponent})`)
      .join(', ') || 'none';
  const from = Math.max(...trees.map(crossover));
  const time = from < Infinity ? `faster than a scan from ${from} keys on` : 'not always faster than a scan at the largest size';
  return `d = ${d}: work grows no faster than ${boundName(d)} for ${named(true)}; faster for ${named(false)}; ${time}`;
}

/** @param {IndexResult} index */
function indexNote({ d, rows, growth: { work } }) {
  const last = rows[rows.length - 1];
  const { n, indexUs, bruteUs } = last;
  return (
    `d = ${d}: ${boundName(d)} is ${significant(boundOf(d)(n) / n, 2)} n at ${n} keys, constants left out; HsrIndex computes ` +
    `${significant(productsOf(last) / n, 2)} products per key, ~ n^${work.exponent}, most of them in 4 bits, in ` +
    `${significant(indexUs / bruteUs, 2)} of the time of brute force`
  );
}
