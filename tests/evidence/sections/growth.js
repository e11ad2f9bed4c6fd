/** Growth of time and work with n and d, beside the theory's. */
import { lineChart } from '../../../web/cli/bench/chart.js';
import { fitPower } from '../../../web/cli/bench/fit.js';
import { gaussian, NOISE } from '../../../web/cli/bench/keys.js';
import { POINTS } from '../../../web/cli/bench/points.js';
import { meanRow, measureHead } from '../../../web/cli/bench/scaling.js';
import { boundOf, measureTree, powerOf } from '../../../web/cli/bench/theory.js';
import { FORCED } from '../../../web/cli/bench/ways.js';
import { percent, round, significant } from '../../../web/cli/numbers.js';
import { captured, captureText, firstHeads } from '../captured.js';
import { compareContinued } from '../continuing.js';

const SIZES = { quick: [2 ** 10, 2 ** 12, 2 ** 14], full: [2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18] };
const TREE_DIMS = [2, 3, 4];
const TREE_POINTS = ['Gaussian', 'cube face'];
const DIMS = [8, 16, 32, 64, 128];
/** The least of HsrIndex and KvCache: fewer dimensions get zeros. */
const LEAST_DIM = 16;
const STEPS = { quick: 4, full: 8 };
/** Named as by attendWays() and indexWays(). */
const WAYS = ['report', 'top 64', 'fast', 'fast r=n^0.8'];
/** Slopes of a few sizes on a machine with other work are no surer. */
const SURE = 0.05;
/** HS_LEAF of src/kv/kv.h. */
const LEAF = 16;
/** Products per key that are no less than a scan's. */
const HARDLY = 0.5;

/**
 * @typedef {import('../../../web/cli/bench/scaling.js').Row} Row
 * @typedef {import('../../../web/cli/bench/theory.js').TreeRow} TreeRow
 * @typedef {import('../../../web/cli/bench/keys.js').Source} Source
 * @typedef {{d: number, keys: string, rows: TreeRow[]}} Tree
 * @typedef {{d: number, name: string, rows: Row[]}} Grown
 */

/**
 * @param {import('../section.js').Section} section
 * @param {import('../section.js').Setting} setting
 * @param {number[]} [sizes] numbers of keys
 */
export async function run(section, setting, sizes = SIZES[setting.quick ? 'quick' : 'full']) {
  const wasm = { variant: setting.variant };
  const steps = STEPS[setting.quick ? 'quick' : 'full'];
  const from = await captured(setting);
  /** @type {Tree[]} */
  const trees = [];
  await measureTree(POINTS[0], sizes[0], TREE_DIMS[0], wasm); // the first calls run code that is not optimised yet
  for (const d of TREE_DIMS) {
    setting.log(`partition tree, d = ${d}`);
    for (const points of POINTS.filter(({ name }) => TREE_POINTS.includes(name))) {
      const rows = [];
      for (const n of sizes) rows.push(await measureTree(points, n, d, wasm));
      trees.push({ d, keys: points.name, rows });
    }
  }
  const sources = [
    ...DIMS.map((d) => ({ d, name: d < LEAST_DIM ? `${d} (and ${LEAST_DIM - d} zeros)` : String(d), heads: [normal(d, steps)] })),
    { d: from.layers[0][0].headDim, name: 'real', heads: firstHeads(from) },
  ];
  await measureHead(sources[0].heads[0], sizes[0], wasm);
  /** @type {Grown[]} */
  const grown = [];
  for (const { d, name, heads } of sources) {
    setting.log(`attention, d = ${name}`);
    const rows = [];
    for (const n of sizes) {
      const each = [];
      for (const head of heads) each.push(await measureHead(head, n, wasm, FORCED));
      rows.push(meanRow(each));
    }
    grown.push({ d, name: name === 'real' ? `${d}, real keys` : name, rows });
  }
  describeTrees(section, trees);
  describeGrown(section, grown, captureText(from));
  part(section, trees, grown);
  describeContinued(section, await compareContinued(from, wasm));
}

/**
 * Normal keys of d dimensions and one query head; for d below LEAST_DIM the rest is zero, and queries are longer so that logits
 * are those of d.
 * @param {number} d
 * @param {number} steps
 * @returns {Source}
 */
export function normal(d, steps) {
  const source = gaussian({ headDim: d, kvHeads: 1, group: 1, steps });
  if (d >= LEAST_DIM) return source;
  const wide = (/** @type {Float32Array} */ rows, factor = 1) => {
    const out = new Float32Array((rows.length / d) * LEAST_DIM);
    rows.forEach((x, i) => (out[Math.floor(i / d) * LEAST_DIM + (i % d)] = factor * x));
    return out;
  };
  return {
    ...source,
    headDim: LEAST_DIM,
    queries: source.queries.map((q) => wide(q, Math.sqrt(LEAST_DIM / d))),
    *rows(n) {
      for (const { keys, values } of source.rows(n)) yield { keys: wide(keys), values: wide(values) };
    },
  };
}

/** @param {number} d */
const boundName = (d) => (powerOf(d) === 0 ? 'log n' : `n^${significant(powerOf(d), 3)}`);

/**
 * x of value ~ n^x.
 * @template {{n: number}} R
 * @param {R[]} rows
 * @param {(row: R) => number} value
 */
const exponent = (rows, value) => fitPower(rows.map((row) => ({ n: row.n, value: value(row) }))).exponent;

/** @param {number} d @param {{n: number}[]} rows theory's bound as n^x over the same sizes */
const theoryExponent = (d, rows) => exponent(rows, ({ n }) => boundOf(d)(n));

/** @param {TreeRow} row */
const treeWork = ({ nodes, keys }) => nodes + keys;

/** Products of a query. @param {Row} row @param {string} way */
const productsOf = ({ n, ways }, way) => n * ways[way].work;

/** @template T @param {T[]} all @returns {T} */
const lastOf = (all) => all[all.length - 1];

/** @param {import('../section.js').Section} section @param {Tree[]} trees */
function describeTrees(section, trees) {
  const [{ rows }] = trees;
  const { n } = lastOf(rows);
  section.text(
    `Growth over ${rows[0].n} to ${n} keys, as the x of the n^x that fits best. The paper takes its bound, n^(1 - 1/⌊d/2⌋) and what is reported, from half-space reporting in d dimensions. ` +
      `Where d is small a partition tree does that; it reports 16 keys here. Work is nodes and keys looked at; a scan looks at all ${n} (in JavaScript). Cube face: many keys lie as near to the hyperplane as those reported, the hard case.`,
  );
  section.table(
    'Partition tree',
    ['d', 'keys', 'theory', 'theory as n^x', 'work n^x', 'time n^x', 'scan n^x', `work at ${n}`, 'us', 'scan us'],
    trees.map(({ d, keys, rows: own }) => {
      const last = lastOf(own);
      return [
        d,
        keys,
        boundName(d),
        theoryExponent(d, own),
        exponent(own, treeWork),
        exponent(own, (row) => row.treeUs),
        exponent(own, (row) => row.scanUs),
        Math.round(treeWork(last)),
        last.treeUs,
        last.scanUs,
      ];
    }),
  );
}

/** @param {import('../section.js').Section} section @param {Grown[]} grown @param {string} keys */
function describeGrown(section, grown, keys) {
  const { n } = lastOf(grown[0].rows);
  section.text(
    `The index and attention, one KV head: independent normal keys and one query head, and real keys (${keys}; beyond them with noise of ${NOISE} of their deviation) with all heads of the group. ` +
      `Report: all keys from the 64th largest product on; top 64: the same 64 keys without a threshold. Nothing falls back to dense. Work is products with keys and leaf centroids, of any precision. The theory's exponent is of the report alone; with r = n^0.8 keys to evaluate it is at least 0.8. Errors, of attention to those keys alone for report and top 64, are relative to dense; normal values average to next to nothing, so that any error is a large one.`,
  );
  const both = (/** @type {Row[]} */ rows, /** @type {string} */ way) =>
    `${exponent(rows, (row) => productsOf(row, way))} / ${exponent(rows, ({ ways }) => ways[way].median)}`;
  section.table(
    'Exponents x of n^x: work / time',
    ['d', 'theory', ...WAYS, 'dense'],
    grown.map(({ d, name, rows }) => [name, significant(powerOf(d), 3), ...WAYS.map((way) => both(rows, way)), both(rows, 'dense')]),
  );
  section.table(
    `At ${n} keys: dense / way in time, work per key (error %)`,
    ['d', 'dense ms', ...WAYS],
    grown.map(({ name, rows }) => {
      const { ways } = lastOf(rows);
      return [
        name,
        significant(ways.dense.median),
        ...WAYS.map(
          (way) =>
            `${significant(ways.dense.median / ways[way].median, 2)}, ${significant(ways[way].work, 2)} (${significant(100 * ways[way].error, 2)})`,
        ),
      ];
    }),
  );
  section.chart(
    'Work of a report over n',
    lineChart(
      'Products of a report of 64 keys',
      { x: 'keys n', y: 'products' },
      grown.map(({ name, rows }) => ({
        name: `d = ${name}`,
        points: rows.map(({ n: keysOf, ways }) => [keysOf, keysOf * ways.report.work]),
      })),
    ),
  );
  const real = lastOf(grown);
  section.chart(
    `Time over n, d = ${real.name}`,
    lineChart(
      `Time of a step, d = ${real.name}`,
      { x: 'keys n', y: 'ms' },
      ['dense', ...WAYS].map((way) => ({ name: way, points: real.rows.map(({ n: keysOf, ways }) => [keysOf, ways[way].median]) })),
    ),
  );
}

/**
 * Where theory and practice part.
 * @param {import('../section.js').Section} section
 * @param {Tree[]} trees
 * @param {Grown[]} grown
 */
function part(section, trees, grown) {
  const beyond = trees
    .map(({ d, keys, rows }) => ({ d, keys, x: exponent(rows, treeWork), theory: theoryExponent(d, rows) }))
    .filter(({ x, theory }) => x > theory + SURE);
  const within = trees.length - beyond.length;
  const { n } = lastOf(grown[0].rows);
  const high = grown.filter(({ d }) => d >= LEAST_DIM);
  const bounds = DIMS.filter((d) => d >= LEAST_DIM).map((d) => `${significant(boundOf(d)(n) / n, 2)} n for d = ${d}`);
  const gains = high.filter(({ rows }) => lastOf(rows).ways.report.median < lastOf(rows).ways.dense.median).map(({ name }) => name);
  const coarse = Math.min(...high.map(({ rows }) => lastOf(rows).ways.report.screenedFraction / lastOf(rows).ways.report.work));
  section.text(
    `In low dimension the partition tree's work grows no faster than the theory's for ${within} of ${trees.length} kinds of keys. In the dimensions of attention the theory itself promises little: its bound at ${n} keys is, constants left out, ${bounds.join(', ')}. ` +
      `Where a report is faster than dense attention there (${gains.length > 0 ? `d = ${gains.join('; ')}` : 'nowhere'}), it is by the constant: at least ${percent(coarse, 0)} % of its products are of 4 bits.`,
  );
  if (beyond.length > 0)
    section.says(
      `The partition tree's work grows faster than the theory's bound for ${beyond.map(({ d, keys, x, theory }) => `${keys} keys in d = ${d} (n^${x}, theory n^${theory})`).join(', ')}: shallow cuttings, which the bound needs, are not in it.`,
    );
  const reports = high.map(({ name, d, rows }) => ({ name, theory: powerOf(d), x: exponent(rows, (row) => productsOf(row, 'report')), work: lastOf(rows).ways.report.work })); // prettier-ignore
  const full = reports.filter(({ work }) => work >= HARDLY);
  if (full.length > 0)
    section.says(
      `In the dimensions of attention the index looks at about every key: at ${n} keys a report of 64 computes ${full.map(({ name, x, theory, work }) => `${significant(work, 2)} products per key for d = ${name} (n^${x}, theory n^${significant(theory, 3)})`).join('; ')}.`,
    );
  const real = lastOf(grown);
  const fast = {
    x: exponent(real.rows, ({ ways }) => ways.fast.median),
    work: exponent(real.rows, (row) => productsOf(row, 'fast')),
    leaves: 1 / LEAF / lastOf(real.rows).ways.fast.work,
  };
  if (fast.x > 0.8)
    section.says(
      `Fast attention on real keys takes time like n^${fast.x} (work n^${fast.work}), not n^0.8: the centroid of every leaf is looked at, an n/${LEAF} that stays and is ${percent(fast.leaves, 0)} % of its work at ${n} keys.`,
    );
  const slower = WAYS.flatMap((way) =>
    grown
      .map(({ name, rows }) => ({ way, name, times: lastOf(rows).ways[way].median / lastOf(rows).ways.dense.median }))
      .filter(({ times }) => times > 1 + SURE),
  );
  if (slower.length > 0)
    section.says(
      `Still slower than dense at ${n} keys: ${slower.map(({ way, name, times }) => `${way}, d = ${name} (${round(times, 1)} times as long)`).join('; ')}.`,
    );
}

/** @param {import('../section.js').Section} section @param {Awaited<ReturnType<typeof compareContinued>>} found */
function describeContinued(section, { own, continued, kept }) {
  section.text(
    `Is it fair to continue keys with noise? The same ${own.n} keys, all of them the model's, and the newest ${kept} of them continued to as many.`,
  );
  const ratio = (/** @type {string} */ way) => continued.ways[way].median / own.ways[way].median;
  section.table(
    `The model's own ${own.n} keys, and ${kept} continued`,
    ['attention', 'ms, own', 'ms, continued', 'work per key, own', 'continued', 'error %, own', 'continued'],
    ['dense', ...WAYS].map((way) => [
      way,
      ...[own, continued].map((row) => significant(row.ways[way].median)),
      ...[own, continued].map((row) => significant(row.ways[way].work, 2)),
      ...[own, continued].map((row) => significant(100 * row.ways[way].error, 2)),
    ]),
  );
  const kinder = WAYS.filter((way) => ratio(way) / ratio('dense') < 1 - 2 * SURE);
  if (kinder.length > 0)
    section.says(
      `Times beyond the captured keys may flatter us: keys continued with noise cost ${kinder.map((way) => `${significant(ratio(way) / ratio('dense'), 2)} of the model's own with ${way}`).join(', ')} (${own.n} keys of which ${kept} are not repeats).`,
    );
}
