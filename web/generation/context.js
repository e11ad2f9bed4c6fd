/** One conversation inside the core: its KV caches, prefill, decode steps, and statistics. */
import { throwIfAborted } from '../abort.js';
import { attentionParams, attentionStats, statsWords } from '../attention/params.js';
import { checkInteger } from '../checks.js';
import { KV_TYPES } from '../core/kv.js';
import { badArgument, HalfspaceError } from '../errors.js';
import { nextTurn } from './next-turn.js';

/** HS_MAX_CAPACITY of src/base/hs.h: tokens of a context, those that it continues included. */
export const MAX_CONTEXT = 2 ** 20;

const WATCH_ROOM = 4096;
const MOST_ROOM = 65_536;

/**
 * @typedef {{layer?: number, kvHead?: number, room?: number}} WatchOptions default every layer and KV head; room: reported
 *   keys that are kept per KV head, 1..65536, default 4096
 *
 * @typedef {object} Reported by one KV head
 * @property {number} layer from 0
 * @property {number} kvHead from 0
 * @property {number} total keys that were reported
 * @property {Int32Array} positions of those that were kept: at most `room`
 * @property {Float32Array} shares [positions][group] their share of the weight of each query head of the group
 */

/** @internal */
export class Context {
  /** Handles that keep this context alive: its owner, contexts that continue it, and snapshots being written. */
  #users = 1;
  /** Ids of its own tokens. @type {number[]} */
  #ids = [];

  /**
   * @param {import('../core/wasm-loader.js').Wasm} wasm
   * @param {number} model pointer
   * @param {import('../model/config.js').ModelConfig} config
   * @param {{capacity: number, kv: 'q8' | 'f32', parent?: Context}} options capacity: tokens of its own
   */
  constructor(wasm, model, config, { capacity, kv, parent }) {
    this.wasm = wasm;
    this.config = config;
    this.kv = kv;
    this.vocab = config.vocab;
    this.shape = { layers: config.nLayers, kvHeads: config.nKvHeads, group: config.nHeads / config.nKvHeads, headDim: config.headDim };
    this.parent = parent;
    this.batch = wasm.exports.hs_batch_limit();
    const used = wasm.exports.hs_memory_used() >>> 0;
    this.tokens = wasm.alloc(this.batch * 4, 'token buffer');
    this.pointer = wasm.exports.hs_context_create(model, capacity, KV_TYPES[kv], parent?.pointer ?? 0) >>> 0;
    if (this.pointer === 0) {
      wasm.exports.hs_free(this.tokens);
      const failure = wasm.lastFailure('ctx');
      throw failure.code === 'out-of-memory' ? noMemory(wasm, model, capacity, KV_TYPES[kv]) : failure;
    }
    this.bytes = (wasm.exports.hs_memory_used() >>> 0) - used;
    parent?.retain();
  }

  /** Something continues this context: it cannot be cut. */
  get shared() {
    return this.#users > 1;
  }

  get length() {
    return this.wasm.exports.hs_context_length(this.pointer);
  }

  /** Ids of all tokens, those of the contexts it continues included. @returns {number[]} */
  get ids() {
    return [...(this.parent?.ids ?? []), ...this.#ids];
  }

  /** Whose keys were restored: all of its tokens. @param {number[]} ids */
  adopt(ids) {
    this.#ids = ids;
  }

  retain() {
    this.#users++;
  }

  /** Frees the memory once no handle and no continuation uses it. */
  release() {
    if (--this.#users > 0) return;
    this.wasm.exports.hs_free(this.tokens);
    this.wasm.check(this.wasm.exports.hs_context_free(this.pointer), 'context');
    this.parent?.release();
  }

  /** @param {import('../attention/params.js').EngineAttention | import('../attention/params.js').Mode} options */
  setAttention(options) {
    for (const { layer, kvHead, words } of attentionParams(options, this.shape)) {
      this.wasm.bytes(this.tokens, words.length).set(words);
      this.wasm.check(this.wasm.exports.hs_attention_set(this.pointer, this.tokens, layer, kvHead), 'attention');
    }
  }

  /**
   * Runs the prompt in batches; the event loop gets a turn between them.
   * @param {number[]} ids
   * @param {{logits?: 'none' | 'last' | 'all', onBatch?: (done: number, total: number) => void, signal?: AbortSignal}} [options]
   *   all: only for prompts of one batch
   * @returns {Promise<Float32Array>} a copy of the logits that were asked for: another context may run before the caller does
   */
  async prefill(ids, { logits = 'last', onBatch, signal } = {}) {
    let copy = new Float32Array();
    for (let at = 0; at < ids.length; at += this.batch) {
      if (at > 0) await nextTurn();
      throwIfAborted(signal);
      const part = ids.slice(at, at + this.batch);
      const last = at + part.length === ids.length;
      new Int32Array(this.wasm.memory.buffer, this.tokens, part.length).set(part);
      const wanted = logits === 'all' ? 2 : logits === 'last' && last ? 1 : 0;
      this.wasm.check(this.wasm.parallel('hs_prefill', this.pointer, this.tokens, part.length, wanted), 'prompt');
      this.#ids.push(...part);
      if (wanted > 0) copy = this.logits(wanted === 2 ? part.length : 1).slice();
      onBatch?.(at + part.length, ids.length);
    }
    return copy;
  }

  /** @param {number} id */
  decode(id) {
    this.wasm.check(this.wasm.parallel('hs_decode', this.pointer, id), 'decode');
    this.#ids.push(id);
  }

  /** @param {number} length tokens to keep */
  truncate(length) {
    const before = this.length - this.#ids.length;
    this.wasm.check(this.wasm.exports.hs_context_truncate(this.pointer, length), 'truncate');
    this.#ids.length = length - before;
  }

  /**
   * The last call's logits, valid until the next call into the core.
   * @param {number} [rows]
   */
  logits(rows = 1) {
    const pointer = this.wasm.exports.hs_logits(this.pointer) >>> 0;
    if (pointer === 0) throw new HalfspaceError('bad-argument', 'another context has used the logits since', { field: 'logits' });
    return this.wasm.floats(pointer, rows * this.vocab);
  }

  resetStats() {
    this.wasm.exports.hs_attention_stats_reset(this.pointer);
  }

  /**
   * Of all layers and heads since the last reset, or of some.
   * @param {number} [layer] default all
   * @param {number} [kvHead] default all
   */
  stats(layer = -1, kvHead = -1) {
    checkInteger('layer', layer, -1, this.shape.layers - 1);
    checkInteger('kvHead', kvHead, -1, this.shape.kvHeads - 1);
    return attentionStats(statsWords(this.wasm.memory.buffer, this.wasm.exports.hs_attention_stats(this.pointer, layer, kvHead) >>> 0));
  }

  /** The same of everything, to be added up by addStatsWords(). */
  statsWords() {
    return statsWords(this.wasm.memory.buffer, this.wasm.exports.hs_attention_stats(this.pointer, -1, -1) >>> 0);
  }

  /**
   * From now on decode steps note which keys they evaluate exactly, and the queries.
   * @param {WatchOptions | null} options null: no more
   */
  watch(options) {
    const { layer = -1, kvHead = -1, room = WATCH_ROOM } = options ?? { room: 0 };
    checkInteger('watch.layer', layer, -1, this.shape.layers - 1);
    checkInteger('watch.kvHead', kvHead, -1, this.shape.kvHeads - 1);
    checkInteger('watch.room', room, options ? 1 : 0, MOST_ROOM);
    this.wasm.check(this.wasm.exports.hs_watch(this.pointer, layer, kvHead, room), 'watch');
  }

  /**
   * Keys that the last decode step evaluated exactly, where they are watched.
   * @param {number} layer
   * @param {number} kvHead
   * @returns {Reported}
   */
  reported(layer, kvHead) {
    const { layers, kvHeads, group } = this.shape;
    checkInteger('layer', layer, 0, layers - 1);
    checkInteger('kvHead', kvHead, 0, kvHeads - 1);
    const memory = this.wasm.memory.buffer;
    const pointer = this.wasm.exports.hs_watched(this.pointer, layer, kvHead) >>> 0;
    const [positions, shares, room, total] = new Uint32Array(memory, pointer, 4);
    const held = Math.min(room, total);
    return {
      layer,
      kvHead,
      total,
      positions: new Int32Array(memory, positions, held).slice(),
      shares: new Float32Array(memory, shares, held * group).slice(),
    };
  }

  /** Queries of the last decode step while something is watched, after RoPE: [layers][heads][headDim]. */
  queries() {
    const { layers, kvHeads, group, headDim } = this.shape;
    const pointer = this.wasm.exports.hs_watched_queries(this.pointer) >>> 0;
    if (pointer === 0) throw badArgument('watch', 'nothing is watched', null, 'watch()');
    return this.wasm.floats(pointer, layers * kvHeads * group * headDim).slice();
  }

  /**
   * Stored keys (after RoPE) and values, [n][headDim] each.
   * @param {number} layer
   * @param {number} kvHead
   * @param {number} [from]
   * @param {number} [n]
   */
  rows(layer, kvHead, from = 0, n = this.length - from) {
    const floats = n * this.shape.headDim;
    const keys = this.wasm.alloc(8 * floats, 'rows');
    try {
      const values = keys + 4 * floats;
      this.wasm.check(this.wasm.exports.hs_context_rows(this.pointer, layer, kvHead, from, n, keys, values), 'rows');
      return { keys: this.wasm.floats(keys, floats).slice(), values: this.wasm.floats(values, floats).slice() };
    } finally {
      this.wasm.exports.hs_free(keys);
    }
  }
}

/**
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {number} model
 * @param {number} capacity
 * @param {number} kvType
 */
function noMemory(wasm, model, capacity, kvType) {
  const bytes = wasm.exports.hs_context_bytes(model, capacity, kvType);
  const free = wasm.free();
  // What is free is not in one piece: less may fit than there is room for.
  let fits = 0;
  for (let step = MAX_CONTEXT; step >= 1; step /= 2) {
    if (fits + step <= MAX_CONTEXT && wasm.exports.hs_context_bytes(model, fits + step, kvType) <= free) fits += step;
  }
  const limit = Math.min(fits, capacity - 1);
  return new HalfspaceError(
    'out-of-memory',
    `a context of ${capacity} tokens needs ${bytes} bytes, ${free} are free: ${limit} tokens fit at most`,
    {
      field: 'ctx',
      value: capacity,
      limit,
    },
  );
}
