/** Attention of queries over a cache: dense, by half-space reporting, or ReLU^alpha. */
import { checkInteger, checkOptions, shown } from '../checks.js';
import { elapsedSince } from '../elapsed.js';
import { badArgument } from '../errors.js';
import { FIRST_ROOM } from './core.js';
import { attentionNumbers, attentionStats, attentionValues, attentionWords, statsWords } from './params.js';
import { vectorsOf } from './rows.js';
import { StreamedHandle } from './streamed.js';

const MAX_HEADS = 256;
const MAX_GROUP = 16;
const MAX_QUERIES = 2 ** 24;

/**
 * @typedef {import('./kv-cache.js').KvCache} KvCache
 *
 * @typedef {object} ViewOptions which keys a query sees, and what a logit is
 * @property {number} [n] queries in the call, default 1; several of strength fast go by `prefill`, here hsr by default
 * @property {number} [end] positions from this on are not seen, 1..length; default length
 * @property {boolean} [causal] the queries are those of the last n positions before `end`: query i sees positions below
 *   end - n + i + 1; default false
 * @property {number} [window] only the last so many positions before a query's end are seen, and the sinks; 0 (default): all
 * @property {number} [sinks] first positions that are seen beside the window, default 0
 * @property {number} [scale] logit = scale * <query, key>, not 0, default 1 / sqrt(headDim)
 * @property {number} [softcap] logit = softcap * tanh(logit / softcap); 0 (default): none
 * @property {boolean} [reported] also say which keys were evaluated exactly; queries are then taken one by one
 *
 * @typedef {import('./params.js').AttentionOptions & ViewOptions} AttendOptions
 *
 * @typedef {object} ReportedKeys of one query and KV head. Dense and fast list a key once for all query heads of the group;
 *   relu, certified and exact once for each that took it, with the shares of the others 0.
 * @property {Int32Array} positions of the keys
 * @property {Float32Array} shares [positions][group] their share of the weight of each query head of the group
 *
 * @typedef {object} Attended what attend() gives
 * @property {Float32Array} output [n][heads][headDim]; zeros for a query that sees no key, or with relu no weight
 * @property {import('./params.js').AttentionStats & {timeMs: number}} stats what it cost, and the error: a bound or an estimate; timeMs: of the call
 * @property {ReportedKeys[]} [reported] [n * kvHeads] of query i and KV head h at i * kvHeads + h, when asked for
 *
 * @typedef {object} Call
 * @property {KvCache} cache
 * @property {import('./rows.js').Vectors} queries
 * @property {number} n
 * @property {number} heads
 * @property {number} group
 * @property {boolean} causal
 * @property {ReturnType<typeof attentionValues>} values
 */

/** @param {KvCache} cache @param {import('./rows.js').Rows} queries @param {number} n */
function checkQueries(cache, queries, n) {
  const vectors = vectorsOf(queries, cache.headDim, 'queries', checkInteger('n', n, 1, MAX_QUERIES) * cache.kvHeads);
  const heads = vectors.count / n;
  const most = Math.min(MAX_HEADS, MAX_GROUP * cache.kvHeads);
  if (!(heads >= 1 && heads <= most))
    throw badArgument(
      'queries',
      `must have ${cache.kvHeads} to ${most} heads for ${n} queries, not ${heads}`,
      heads,
      heads < 1 ? cache.kvHeads : most,
    );
  return { vectors, heads };
}

/**
 * @param {KvCache} cache
 * @param {import('./rows.js').Rows} queries
 * @param {AttendOptions} options
 * @returns {Call}
 */
function checkCall(cache, queries, options) {
  if (!(cache instanceof StreamedHandle && cache.layout.kind === 'cache'))
    throw badArgument('cache', 'must be a KvCache', cache, 'KvCache');
  checkOptions('options', options);
  const { n = 1, causal = false, scale = 1 / Math.sqrt(cache.headDim) } = options;
  const { length, size } = cache;
  const { vectors, heads } = checkQueries(cache, queries, n);
  const values = attentionValues(options);
  Object.assign(values, attentionNumbers({ ...options, scale }, ['end', 'window', 'sinks', 'scale', 'softcap']));
  if (values.scale === 0) throw badArgument('scale', 'must not be 0', options.scale, 1e15);
  if ((values.r ?? 0) > size) throw badArgument('r', `must be at most the number of keys, ${size}, not ${values.r}`, values.r, size);
  if ((values.end ?? 0) > length) throw badArgument('end', `must be at most the length, ${length}, not ${values.end}`, values.end, length);
  values.end ??= length;
  values.causal = causal ? 1 : 0;
  if (causal && n > values.end)
    throw badArgument('n', `must be at most ${values.end}, the positions that causal queries are the last of, not ${n}`, n, values.end);
  return { cache, queries: vectors, n, heads, group: heads / cache.kvHeads, causal, values };
}

/** Writes the parameters of a part of the queries into the core. @param {Call} call @param {number} after queries after it */
function putParams({ cache: { core }, values, causal }, after) {
  const words = attentionWords({ ...values, end: (values.end ?? 0) - (causal ? after : 0) });
  core.wasm.bytes(core.raw, words.length).set(words);
  return core.raw;
}

/** @param {Call} call @param {Float32Array} output */
function attendBlocks(call, output) {
  const { cache, queries, n, heads, group } = call;
  const { core, pointer, headDim } = cache;
  const block = Math.min(core.exports.hs_batch_limit(), core.part(heads * headDim));
  for (let at = 0; at < n; at += block) {
    const count = Math.min(block, n - at);
    core.stage(core.first, queries, at * heads, count * heads);
    const params = putParams(call, n - at - count);
    core.wasm.check(core.exports.hs_attend(pointer, core.first, count, group, params, core.second), 'options');
    output.set(core.wasm.floats(core.second, count * heads * headDim), at * heads * headDim);
  }
}

/** @param {Call} call @param {Float32Array} output @returns {ReportedKeys[]} */
function attendReported(call, output) {
  const { cache, queries, n, heads, group } = call;
  const { core, pointer, headDim, kvHeads, size } = cache;
  const reported = [];
  for (let i = 0; i < n; i++) {
    core.stage(core.first, queries, i * heads, heads);
    const params = putParams(call, n - 1 - i);
    for (let h = 0; h < kvHeads; h++) {
      const at = 4 * h * group * headDim;
      const keys = core.collect(
        Math.min(group * size, FIRST_ROOM),
        1 + group,
        (positions, room) =>
          core.exports.hs_attend_reported(
            pointer,
            h,
            core.first + at,
            group,
            params,
            core.second + at,
            positions,
            positions + 4 * room,
            room,
          ),
        (positions, room, count) => ({ positions: core.ints(positions, count), shares: core.floats(positions + 4 * room, count * group) }),
      );
      reported.push(keys);
    }
    output.set(core.wasm.floats(core.second, heads * headDim), i * heads * headDim);
  }
  return reported;
}

/**
 * Attention of n queries over a cache. Heads are split evenly and in order among the KV heads.
 * @param {KvCache} cache whose keys and values are attended to
 * @param {import('./rows.js').Rows} queries [n][heads][headDim], heads a multiple of kvHeads, up to 16 times as many and 256
 * @param {AttendOptions} [options] which keys each query sees, and how they are weighed; default fast half-space reporting over all
 * @returns {Attended}
 * @throws {import('../errors.js').HalfspaceError} bad-argument: queries or an option, with field, value and limit; out-of-memory; closed
 */
export function attend(cache, queries, options = {}) {
  const began = performance.now();
  const call = checkCall(cache, queries, options);
  const { core } = cache;
  const output = new Float32Array(call.n * call.heads * cache.headDim);
  core.exports.hs_attend_stats_reset();
  const reported = cache.track(() => (options.reported ? attendReported(call, output) : attendBlocks(call, output)));
  const stats = attentionStats(statsWords(core.wasm.memory.buffer, core.exports.hs_attend_stats() >>> 0));
  return { output, stats: { ...stats, timeMs: elapsedSince(began) }, ...(reported && { reported }) };
}

/**
 * The paper's threshold for ReLU attention (arXiv 2410.10165), in logits of scale 1 / sqrt(d): where coordinates of n keys
 * and m queries are independent and normal, with probability 1 - delta no query has more than 2 n^(4/5) keys at or above it.
 * @param {object} given what the keys and queries are like
 * @param {number} given.n keys
 * @param {number} given.d numbers per key
 * @param {number} [given.m] queries, default 1
 * @param {number} [given.delta] 0..1, default 0.01
 * @param {number} [given.sigmaQ] deviation of the queries' coordinates, default 1
 * @param {number} [given.sigmaK] deviation of the keys' coordinates, default 1
 * @returns {number} for `b` of attend()
 * @throws {import('../errors.js').HalfspaceError} bad-argument: a number that is out of range
 */
export function reluThreshold({ n, d, m = 1, delta = 0.01, sigmaQ = 1, sigmaK = 1 }) {
  for (const [field, value] of Object.entries({ n, d, m })) checkInteger(field, value, 1, Number.MAX_SAFE_INTEGER);
  if (!(delta > 0 && delta < 1)) throw badArgument('delta', `must be between 0 and 1, not ${shown(delta)}`, delta, delta >= 1 ? 1 : 0);
  for (const [field, value] of Object.entries({ sigmaQ, sigmaK })) {
    if (!(value > 0 && value < Infinity)) throw badArgument(field, `must be a positive number, not ${shown(value)}`, value, 0);
  }
  const sigma = 4 * Math.sqrt(1 + Math.log(m / delta) / d) * sigmaQ * sigmaK;
  return sigma * Math.sqrt(0.4 * Math.log(n));
}
