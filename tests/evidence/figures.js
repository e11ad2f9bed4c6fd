/**
 * Figures of docs/how-the-index-works.md, of a model's own keys, values and queries: `make figures`, or
 * `node tests/evidence/figures.js --model M --file F [--ctx N] [--steps N] [--out FOLDER]`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { attend, KvCache } from '../../web/attention.js';
import { lineChart } from '../../web/cli/bench/chart.js';
import { relativeError } from '../../web/cli/bench/timing.js';
import { capture } from '../../web/cli/capture.js';
import { mean } from '../../web/cli/numbers.js';
import { logitsOf, softmaxWeights, split } from './plain.js';

/** hsr as it is by default, but also where dense attention would be faster. */
const HSR = /** @type {const} */ ({ denseBelow: 0, denseAbove: 1 });
/** The defaults of src/attention/attention.h. */
const [THETA, LEAF_THETA, VALUE_THETA] = [1e-3, 2e-3, 1e-4];
/** So small a threshold that every key of an opened leaf is reported, or every leaf opened. */
const ANY = 1e-30;

/**
 * @typedef {import('../../web/cli/capture.js').CapturedHead} CapturedHead
 * @typedef {{model: string, file: string, ctx: number, steps: number, out: string}} Options
 */

/** Shares of the softmax mass, in order of positions. @param {CapturedHead} head @param {Float32Array} query [headDim] */
function sharesOf({ keys }, query) {
  const weights = softmaxWeights(logitsOf(query, keys));
  const mass = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / mass);
}

/** Query heads one by one. @param {CapturedHead} head */
const queriesOf = ({ queries, headDim }) => queries.flatMap((row) => split(row, headDim));

/** The fewest keys that hold a share of the mass. @param {Float64Array} falling shares, largest first @param {number} share */
function fewest(falling, share) {
  let [n, held] = [0, 0];
  while (held < share && n < falling.length) held += falling[n++];
  return n;
}

/** How many keys hold most of the mass, layer by layer. @param {CapturedHead[][]} layers */
function concentration(layers) {
  const shares = [0.5, 0.9, 0.99];
  const counts = layers.map((heads) => {
    const falling = heads.flatMap((head) => queriesOf(head).map((q) => sharesOf(head, q).toSorted().toReversed()));
    return shares.map((share) => mean(falling.map((weights) => fewest(weights, share))));
  });
  const series = shares.map((share, i) => ({
    name: `${100 * share} % of the mass`,
    points: counts.map((of, layer) => /** @type {[number, number]} */ ([layer, of[i]])),
  }));
  const n = layers[0][0].keys.length / layers[0][0].headDim;
  return lineChart(
    `Fewest keys of ${n} that hold a share of the softmax mass`,
    { x: 'layer', y: 'keys, mean over heads and queries' },
    series,
    { x: true },
  );
}

/** @param {Set<number>} all @param {Set<number>} but */
const without = (all, but) => new Set([...all].filter((i) => !but.has(i)));

/** @param {CapturedHead} head */
async function cacheOf({ headDim, keys, values }) {
  const cache = await KvCache.create({ headDim });
  cache.append({ keys, values });
  return cache;
}

/** Positions that a query evaluates exactly. @param {KvCache} cache @param {Float32Array} query @param {import('../../web/attention/attend.js').AttendOptions} options */
function reportedBy(cache, query, options) {
  const { reported = [] } = attend(cache, query, { ...HSR, ...options, reported: true });
  return new Set(reported[0].positions);
}

/** Keys that are always exact: the sink, and at least so many of the newest ones (src/kv/kv.h). */
const [SINK, RECENT] = [16, 32];
/** The query that gives most mass to single keys between sink and window, and its head. @param {CapturedHead[]} heads */
function shownQuery(heads) {
  const all = heads.flatMap((head) =>
    queriesOf(head).map((query) => {
      const between = sharesOf(head, query).subarray(SINK, -RECENT);
      return { head, query, mass: between.reduce((sum, share) => sum + (share >= THETA ? share : 0), 0) };
    }),
  );
  return all.reduce((a, b) => (b.mass > a.mass ? b : a));
}

/** What becomes of each key for one query: the threshold of a step, lowered so far that all its keys are reported, shows them. @param {ReturnType<typeof shownQuery>} shown */
async function oneQuery({ head, query }) {
  const cache = await cacheOf(head);
  const shares = sharesOf(head, query);
  const kinds = [
    { name: 'exact', keys: reportedBy(cache, query, {}) },
    { name: 'opened: own value', keys: reportedBy(cache, query, { theta: VALUE_THETA }) },
    { name: 'opened: mean value', keys: reportedBy(cache, query, { theta: ANY }) },
    { name: 'closed: leaf alone', keys: new Set(shares.keys()) },
  ];
  cache.free();
  const points = (/** @type {Set<number>} */ keys) => Array.from(keys, (i) => /** @type {[number, number]} */ ([i, Math.log10(shares[i])]));
  const series = kinds.map(({ name, keys }, i) => {
    const own = i === 0 ? keys : without(keys, kinds[i - 1].keys);
    return { name: `${own.size} ${name}`, points: points(own), dots: true };
  });
  const theta = {
    name: `share ${THETA}`,
    points: /** @type {[number, number][]} */ ([0, shares.length - 1].map((i) => [i, Math.log10(THETA)])),
  };
  return lineChart(
    `One query and ${shares.length} keys, layer ${head.layer}, KV head ${head.kvHead}`,
    { x: 'position', y: 'log10 of the share of the softmax mass' },
    [...series.toReversed(), theta],
    { x: true, y: true },
  );
}

/** Estimates are read off thresholds: a key's is the largest theta at which it is reported. @param {ReturnType<typeof shownQuery>} shown */
async function screening({ head, query }) {
  const [most, least, factor] = [0.999, 1e-7, 1.03];
  const cache = await cacheOf(head);
  const shares = sharesOf(head, query);
  const known = reportedBy(cache, query, { leafTheta: ANY, theta: most }); // the sink and the window are never screened
  /** @type {[number, number][]} */
  const points = [];
  for (let theta = most; theta > least; theta /= factor) {
    for (const i of without(reportedBy(cache, query, { leafTheta: ANY, theta }), known)) {
      known.add(i);
      if (shares[i] > least) points.push([shares[i], theta]);
    }
  }
  cache.free();
  return lineChart(
    `4-bit estimates of ${points.length} keys, layer ${head.layer}, KV head ${head.kvHead}`,
    { x: 'share of the softmax mass', y: 'estimated share' },
    [
      { name: 'a key', points, dots: true },
      { name: 'equal', points: [least, 1e-5, 1e-3, 0.1].map((x) => [x, x]) },
    ],
  );
}

/** What the far field saves, at thresholds around the defaults. @param {CapturedHead[]} heads */
async function farField(heads) {
  const factors = [64, 16, 4, 1, 1 / 4, 1 / 16, 1 / 64];
  const ways = /** @type {const} */ ({ 'far field, second order': 'second', 'far field, first order': 'first', dropped: false });
  const caches = await Promise.all(heads.map(cacheOf));
  const dense = heads.map(({ queries }, h) => queries.map((q) => attend(caches[h], q, { mode: 'dense' }).output));
  const series = Object.entries(ways).map(([name, farField]) => ({
    name,
    points: factors.map((factor) => {
      const looks = heads.flatMap(({ queries, headDim }, h) =>
        queries.map((q, step) => {
          const options = { ...HSR, farField, theta: factor * THETA, leafTheta: factor * LEAF_THETA, valueTheta: factor * VALUE_THETA };
          const { output, stats } = attend(caches[h], q, options);
          return { opened: stats.leavesOpened / stats.leavesTotal, error: relativeError(output, dense[h][step], headDim) };
        }),
      );
      return /** @type {[number, number]} */ ([100 * mean(looks.map(({ opened }) => opened)), 100 * mean(looks.map(({ error }) => error))]);
    }),
  }));
  for (const cache of caches) cache.free();
  return lineChart('What is not evaluated: far field, or dropped', { x: 'leaves opened, %', y: "error of a head's output, %" }, series);
}

/**
 * Writes the figures.
 * @param {Options} options
 * @returns {Promise<string[]>} their files
 */
export async function figures({ out, steps, ...options }) {
  const { layers } = await capture(options, { steps });
  const shown = shownQuery(layers.flat());
  const charts = {
    'mass-by-layer': concentration(layers),
    'one-query': await oneQuery(shown),
    'screened-estimates': await screening(shown),
    'far-field': await farField(layers.flat()),
  };
  await mkdir(out, { recursive: true });
  const files = Object.entries(charts).map(([name, svg]) => ({ path: join(out, `${name}.svg`), svg }));
  for (const { path, svg } of files) await writeFile(path, svg);
  return files.map(({ path }) => path);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = /** @type {const} */ ({ type: 'string' });
  const { values } = parseArgs({ options: { model: text, file: text, ctx: text, steps: text, out: text } });
  const { model, file, ctx = '4096', steps = '8', out = 'docs/figures' } = values;
  if (!model || !file) throw new Error('--model and --file are needed');
  console.log((await figures({ model, file, ctx: Number(ctx), steps: Number(steps), out })).join('\n'));
}
