/** One conversation inside the core: its KV caches, prefill, decode steps, and statistics. */
import { attentionParams, attentionStats } from './attention-params.js';
import { HalfspaceError } from './errors.js';
import { throwIfAborted } from './sources.js';

const KV_TYPES = { q8: 0, f32: 1 };

export class Context {
  /** Handles that keep this context alive: its owner, and contexts that continue it. */
  #users = 1;

  /**
   * @param {import('./wasm-loader.js').Wasm} wasm
   * @param {number} model pointer
   * @param {import('./config.js').ModelConfig} config
   * @param {{capacity: number, kv: 'q8' | 'f32', parent?: Context}} options capacity: tokens of its own
   */
  constructor(wasm, model, config, { capacity, kv, parent }) {
    this.wasm = wasm;
    this.vocab = config.vocab;
    this.parent = parent;
    this.batch = wasm.exports.hs_batch_limit();
    this.tokens = wasm.alloc(this.batch * 4, 'token buffer');
    this.pointer = wasm.exports.hs_context_create(model, capacity, KV_TYPES[kv], parent?.pointer ?? 0) >>> 0;
    if (this.pointer === 0) {
      wasm.exports.hs_free(this.tokens);
      throw noMemory(wasm, model, capacity, KV_TYPES[kv]);
    }
    parent?.retain();
  }

  get length() {
    return this.wasm.exports.hs_context_length(this.pointer);
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

  /** @param {import('./attention-params.js').AttentionOptions | import('./attention-params.js').Mode} options */
  setAttention(options) {
    const { words } = attentionParams(options);
    this.wasm.bytes(this.tokens, words.length).set(words);
    this.wasm.check(this.wasm.exports.hs_attention_set(this.pointer, this.tokens), 'attention');
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
      this.wasm.check(this.wasm.exports.hs_prefill(this.pointer, this.tokens, part.length, wanted), 'prompt');
      if (wanted > 0) copy = this.logits(wanted === 2 ? part.length : 1).slice();
      onBatch?.(at + part.length, ids.length);
    }
    return copy;
  }

  /** @param {number} id */
  decode(id) {
    this.wasm.check(this.wasm.exports.hs_decode(this.pointer, id), 'decode');
  }

  /** @param {number} length tokens to keep */
  truncate(length) {
    this.wasm.check(this.wasm.exports.hs_context_truncate(this.pointer, length), 'truncate');
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

  /** Of all layers since the last reset. */
  stats() {
    return attentionStats(this.wasm.memory.buffer, this.wasm.exports.hs_attention_stats(this.pointer) >>> 0);
  }
}

/** Lets messages, timers and aborts through; faster than setTimeout, which waits 4 ms in pages. */
export function nextTurn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(0);
  });
}

/**
 * @param {import('./wasm-loader.js').Wasm} wasm
 * @param {number} model
 * @param {number} capacity
 * @param {number} kvType
 */
function noMemory(wasm, model, capacity, kvType) {
  const bytes = wasm.exports.hs_context_bytes(model, capacity, kvType);
  const free = wasm.free();
  if (bytes <= free && bytes < 2 ** 32)
    return new HalfspaceError('out-of-memory', `no memory for a context of ${capacity} tokens: ${wasm.lastError()}`, {
      field: 'ctx',
      value: capacity,
    });
  let fits = 0;
  for (let step = 2 ** 20; step >= 1; step /= 2) {
    if (fits + step <= 2 ** 20 && wasm.exports.hs_context_bytes(model, fits + step, kvType) <= free) fits += step;
  }
  return new HalfspaceError('out-of-memory', `a context of ${capacity} tokens needs ${bytes} bytes, ${free} are free: ${fits} tokens fit`, {
    field: 'ctx',
    value: capacity,
    limit: fits,
  });
}
