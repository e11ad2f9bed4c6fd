/** What the index costs: time to build, bytes, and the tokens that must be decoded before it has paid for itself. */
import { KvCache } from '../../../web/attention.js';
import { lineChart } from '../../../web/cli/bench/chart.js';
import { NOISE } from '../../../web/cli/bench/keys.js';
import { relativeError, timeInTurn } from '../../../web/cli/bench/timing.js';
import { attendWays } from '../../../web/cli/bench/ways.js';
import { mean, median, percent, round, significant } from '../../../web/cli/numbers.js';
import { captured, captureText, firstHeads } from '../captured.js';

const SIZES = { quick: [1024, 4096, 16_384], full: [1024, 4096, 16_384, 65_536] };
/** Keys appended at once: fewer than a cache keeps unsealed (HS_KV_TAIL of src/kv/kv.h), so that one that is then emptied never seals. */
const BATCH = 128;
/** Appends until a chunk of 1024 keys is full, which is then sorted as a whole. */
const PERIOD = 8;
/** Chunks of which a median is taken at least: short caches are built again and again. */
const LEAST_PERIODS = 8;
/** Per value of an int8 row: its scale (bf16). */
const SCALE_BYTES = 2;

/**
 * @typedef {{ms: number, error: number, dense: number}} Step median time of the query heads of a KV head, relative error against
 *   dense, share of query heads that were dense because that was cheaper
 * @typedef {{n: number, plainUs: number, sealedUs: number, pauseMs: number, bytes: number, ways: Record<string, Step>}} Row Us: per
 *   key; pauseMs: append of BATCH keys that fill a chunk
 */

/**
 * @param {import('../section.js').Section} section
 * @param {import('../section.js').Setting} setting
 * @param {number[]} [sizes] numbers of keys, ascending
 */
export async function run(section, setting, sizes = SIZES[setting.quick ? 'quick' : 'full']) {
  const from = await captured(setting);
  const heads = firstHeads(from);
  const wasm = { variant: setting.variant };
  await measure(heads[0], sizes[0], wasm); // the first calls run code that is not optimised yet
  /** @type {Row[]} */
  const rows = [];
  for (const n of sizes) {
    setting.log(`${n} keys`);
    const each = [];
    for (const head of heads) each.push(await measure(head, n, wasm));
    rows.push(meanRow(each));
  }
  section.text(
    `One KV head (int8, ${heads[0].headDim} dimensions) and its ${heads[0].queries[0].length / heads[0].headDim} query heads, means over KV head 0 of ${captureText(from)}; beyond these keys repeat with noise of ${NOISE} of their deviation. ` +
      `Plain append only stores keys and values, as dense attention needs; the index also sorts them into chunks and leaves (seals). Both take ${BATCH} keys at a time, in turn.`,
  );
  const caches = from.modelLayers * from.kvHeads;
  describeBuild(section, rows, caches);
  await describeBytes(section, heads[0].headDim, rows[rows.length - 1], caches, wasm);
  describePaying(section, rows, caches);
}

/**
 * @param {import('../../../web/cli/bench/keys.js').Source} source of one KV head
 * @param {number} n
 * @param {import('../../../web/core/wasm-loader.js').LoadOptions} wasm
 * @returns {Promise<Row>}
 */
async function measure({ headDim, queries, rows }, n, wasm) {
  const [sealed, plain] = [await KvCache.create({ headDim, wasm }), await KvCache.create({ headDim, wasm })];
  try {
    const ms = { plain: /** @type {number[]} */ ([]), sealed: /** @type {number[]} */ ([]) };
    while (ms.sealed.length < LEAST_PERIODS * PERIOD) {
      sealed.truncate(0);
      appendInTurn({ plain, sealed }, rows(n), ms);
    }
    const slowest = ms.sealed.toSorted((a, b) => b - a).slice(0, Math.ceil(ms.sealed.length / PERIOD));
    return {
      n,
      plainUs: usPerKey(ms.plain),
      sealedUs: usPerKey(ms.sealed),
      pauseMs: median(slowest),
      bytes: sealed.memoryBytes / n,
      ways: await measureSteps(sealed, queries),
    };
  } finally {
    sealed.free();
    plain.free();
  }
}

/**
 * BATCH keys after the other, to the one cache after the other.
 * @param {Record<'plain' | 'sealed', KvCache>} caches plain is emptied after each
 * @param {Iterable<{keys: Float32Array, values: Float32Array}>} rows
 * @param {Record<'plain' | 'sealed', number[]>} ms of each append, added to
 */
function appendInTurn({ plain, sealed }, rows, ms) {
  const width = BATCH * plain.headDim;
  for (const { keys, values } of rows) {
    for (let at = 0; at < keys.length; at += width) {
      const batch = { keys: keys.subarray(at, at + width), values: values.subarray(at, at + width) };
      const began = performance.now();
      plain.append(batch);
      const between = performance.now();
      sealed.append(batch);
      ms.sealed.push(performance.now() - between);
      ms.plain.push(between - began);
      plain.truncate(0);
    }
  }
}

/** By the median of the times from one full chunk to the next. @param {number[]} ms of appends */
export function usPerKey(ms) {
  const periods = Array.from({ length: Math.ceil(ms.length / PERIOD) }, (_, i) => ms.slice(i * PERIOD, (i + 1) * PERIOD));
  return median(periods.map((each) => (1000 * mean(each)) / BATCH));
}

/** @param {KvCache} cache @param {Float32Array[]} queries */
async function measureSteps(cache, queries) {
  const ways = attendWays(cache, queries);
  const times = await timeInTurn(Object.fromEntries(Object.entries(ways).map(([name, { run: step }]) => [name, step])), queries.length);
  const reference = queries.map((_, step) => ways.dense.look(step).output);
  const figures = Object.entries(ways).map(([name, { look }]) => {
    const looks = queries.map((_, step) => look(step));
    const error = mean(looks.map(({ output }, step) => relativeError(output, reference[step], cache.headDim)));
    return [name, { ms: times[name].median, error, dense: mean(looks.map(({ denseFraction }) => denseFraction)) }];
  });
  return /** @type {Record<string, Step>} */ (Object.fromEntries(figures));
}

/** @param {Row[]} each of one n, per head @returns {Row} */
function meanRow(each) {
  const over = (/** @type {(row: Row) => number} */ pick) => mean(each.map(pick));
  const ways = Object.keys(each[0].ways).map((name) => [
    name,
    { ms: over(({ ways: w }) => w[name].ms), error: over(({ ways: w }) => w[name].error), dense: over(({ ways: w }) => w[name].dense) },
  ]);
  return {
    n: each[0].n,
    plainUs: over((row) => row.plainUs),
    sealedUs: over((row) => row.sealedUs),
    pauseMs: over((row) => row.pauseMs),
    bytes: over((row) => row.bytes),
    ways: Object.fromEntries(ways),
  };
}

/** @param {Row} row */
const extraUs = ({ plainUs, sealedUs }) => sealedUs - plainUs;

/** @param {import('../section.js').Section} section @param {Row[]} rows @param {number} caches KV heads of the model */
function describeBuild(section, rows, caches) {
  section.table(
    `Time to build (whole model: ${caches} KV heads)`,
    ['keys', 'plain append us/key', 'append and seal us/key', 'times as long', 'index of a token, whole model, ms', 'index of all, whole model, s', `append of ${BATCH} that fills a chunk, ms`], // prettier-ignore
    rows.map((row) => [
      row.n,
      significant(row.plainUs),
      significant(row.sealedUs),
      significant(row.sealedUs / row.plainUs, 2),
      significant((caches * extraUs(row)) / 1000),
      significant((caches * extraUs(row) * row.n) / 1e6),
      significant(row.pauseMs),
    ]),
  );
  const last = rows[rows.length - 1];
  section.says(
    `The index makes an append ${significant(last.sealedUs / last.plainUs, 2)} times as long: ${significant(extraUs(last))} us per key and KV head, ${significant((caches * extraUs(last)) / 1000, 2)} ms per token of the whole model. ` +
      `The work comes in lumps, as all KV heads fill a chunk at the same token: ${significant(last.pauseMs, 2)} ms at every 1024th key, ${Math.round(caches * last.pauseMs)} ms for the whole model.`,
  );
}

/**
 * @param {import('../section.js').Section} section
 * @param {number} headDim
 * @param {Row} last
 * @param {number} caches
 * @param {import('../../../web/core/wasm-loader.js').LoadOptions} wasm
 */
async function describeBytes(section, headDim, last, caches, wasm) {
  const indexed = await Promise.all(/** @type {const} */ (['q8', 'f32']).map((type) => bytesOf({ headDim, type, wasm })));
  const dense = { q8: 2 * (headDim + SCALE_BYTES), f16: 4 * headDim, f32: 8 * headDim };
  const row = (/** @type {string} */ name, /** @type {number} */ bytes) => [
    name,
    round(bytes, 1),
    significant(bytes / dense.q8),
    significant((caches * bytes) / 1024),
  ];
  section.table(
    'Bytes per key and value of one KV head, in a long cache',
    ['cache', 'bytes', 'times dense q8', 'whole model, KiB per token'],
    [
      row('dense q8 (int8 and a scale per row)', dense.q8),
      row('dense f16', dense.f16),
      row('dense f32', dense.f32),
      row('q8 and index', indexed[0]),
      row('f32 and index', indexed[1]),
      row(`q8 and index, as held at ${last.n} keys, with room to grow and scratch`, last.bytes),
    ],
  );
  section.says(`The index takes ${percent(indexed[0] / dense.q8 - 1, 0)} % more memory than the int8 keys and values alone.`);
}

/** @param {{headDim: number, type: 'q8' | 'f32', wasm: import('../../../web/core/wasm-loader.js').LoadOptions}} shape */
async function bytesOf(shape) {
  const cache = await KvCache.create(shape);
  const { bytesPerKey } = cache;
  cache.free();
  return bytesPerKey;
}

/**
 * Decoded tokens that save as much as building the index took, each of which is indexed too.
 * @param {{n: number, extraUs: number, savedUs: number}} measured extra per key; saved per token
 */
export const tokensToPay = (measured) => {
  const net = measured.savedUs - measured.extraUs;
  return net > 0 ? Math.max(0, Math.ceil((measured.n * measured.extraUs) / net)) : Infinity;
};

/** @param {import('../section.js').Section} section @param {Row[]} rows @param {number} caches */
function describePaying(section, rows, caches) {
  const names = Object.keys(rows[0].ways).filter((name) => name !== 'dense');
  const paying = (/** @type {Row} */ row, /** @type {string} */ name) =>
    tokensToPay({ n: row.n, extraUs: extraUs(row), savedUs: 1000 * (row.ways.dense.ms - row.ways[name].ms) });
  const measured = rows.flatMap((row) => names.filter((name) => name in row.ways).map((name) => ({ row, name, step: row.ways[name], tokens: paying(row, name) }))); // prettier-ignore
  const words = (/** @type {number} */ tokens) => (tokens < Infinity ? tokens : 'never');
  section.text(
    'How many decoded tokens pay for the index of the keys before them: what building it took, over what a token then saves against dense attention over the same int8 keys, less its own indexing. Ways as shipped: fast is dense below 2048 keys, and where that is cheaper (*: mostly).',
  );
  section.table(
    'Decoded tokens until the index is paid for',
    ['keys', 'attention', 'ms per step', 'dense', 'saved per token, whole model, ms', 'index of all, whole model, ms', 'tokens to pay for it', 'error %'], // prettier-ignore
    measured.map(({ row, name, step, tokens }) => [
      row.n,
      `${name}${step.dense > 0.5 ? ' *' : ''}`,
      significant(step.ms),
      significant(row.ways.dense.ms),
      significant(caches * (row.ways.dense.ms - step.ms)),
      Math.round((caches * extraUs(row) * row.n) / 1000),
      words(tokens),
      significant(100 * step.error, 2),
    ]),
  );
  const lines = names.map((name) => ({
    name,
    points: measured.filter((each) => each.name === name && each.tokens > 0 && each.tokens < Infinity).map(({ row, tokens }) => /** @type {[number, number]} */ ([row.n, tokens])), // prettier-ignore
  }));
  const drawn = lines.filter(({ points }) => points.length > 0);
  if (drawn.length > 0)
    section.chart(
      'Decoded tokens until the index is paid for',
      lineChart('Decoded tokens until the index is paid for', { x: 'keys', y: 'tokens' }, drawn),
    );
  const never = names.map((name) => ({ name, sizes: measured.filter((each) => each.name === name && each.tokens === Infinity).map(({ row }) => row.n) })); // prettier-ignore
  const listed = never.filter(({ sizes }) => sizes.length > 0).map(({ name, sizes }) => `${name} (after ${sizes.join(', ')} keys)`);
  if (listed.length > 0) section.says(`While decoding the index never pays for itself in time with ${listed.join('; ')}.`);
  const fast = measured.filter(({ name, tokens }) => name === 'fast' && tokens < Infinity);
  if (fast.length > 0)
    section.says(
      `Short answers do not pay for the index: with fast attention it takes ${fast.map(({ row, tokens }) => `${tokens} decoded tokens after ${row.n} keys`).join(', ')} (prefill by the index, which saves time too, left out).`,
    );
}
