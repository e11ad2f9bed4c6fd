/** A loaded model: generate, prefill, perplexity, logits, tokenize. */
import { isByteSource, openSource } from './bytes/sources.js';
import { renderChat } from './chat/chat.js';
import { checkInteger, checkName, checkOptions } from './checks.js';
import { KV_TYPES } from './core/kv.js';
import { loadWasm } from './core/wasm-loader.js';
import { elapsedSince } from './elapsed.js';
import { HalfspaceError } from './errors.js';
import { checkStop } from './generation/answer-text.js';
import { runComparison } from './generation/compare.js';
import { Context, MAX_CONTEXT } from './generation/context.js';
import { checkClaim, checkFit, ContextSink } from './generation/context-snapshot.js';
import { runGeneration } from './generation/generation.js';
import { nextTurn } from './generation/next-turn.js';
import { runPerplexity } from './generation/perplexity.js';
import { pieceStream } from './generation/piece-stream.js';
import { Prefix } from './generation/prefix.js';
import { createSampler } from './generation/sampler.js';
import { modelConfig } from './model/config.js';
import { readGguf } from './model/gguf.js';
import { loadModel } from './model/load.js';
import { readSnapshots } from './snapshot/resume.js';
import { createTokenizer } from './tokenizer/tokenizer.js';

/**
 * @typedef {import('./remote/api.js').Engine} Api
 * @typedef {{role: string, content: string}} Message
 * @typedef {string | number[] | Message[]} Prompt text, token ids, or a conversation for the file's chat template
 * @typedef {import('./attention/params.js').EngineAttention | import('./attention/params.js').Mode} Attention
 *
 * @typedef {object} EngineOptions how a model is loaded, and runs
 * @property {'auto' | 'relaxed' | 'simd'} [variant] WebAssembly build; auto takes the fastest that computes rightly
 * @property {number | 'auto'} [threads] 1..16, default 1; auto: one per processor, 4 at most, and one where threads do not run
 *   (info.reasons says why). Results are the same for any number. A page must be cross-origin isolated
 * @property {'q8' | 'f32'} [kv] KV cache: int8 (default) or f32
 * @property {number} [ctx] default context length in tokens; default what the model was trained for
 * @property {import('./model/config.js').RopeOptions} [rope] instead of what the file says
 * @property {number} [maxMemoryBytes] limit of the WebAssembly memory, from 2 MB; default 4 GB
 * @property {import('./core/wasm-loader.js').LoadOptions['wasm']} [wasm] where the builds come from: modules, bytes or URLs; default the package's
 * @property {import('./bytes/sources.js').Fetch} [fetch] what a URL is read with, for example an edge worker's binding; default the global one
 * @property {(bytes: number, total: number) => void} [onProgress] called with the bytes that are loaded, and all of them
 * @property {AbortSignal} [signal] ends the loading with 'aborted'
 *
 * @typedef {object} GenerateOptions how a text is continued
 * @property {number} [maxTokens] tokens to generate at most, default 256
 * @property {string[]} [stop] texts that end the generation, at most 16 of 256 UTF-16 units; they are not part of the text, which is
 *   held back while it may be the beginning of one
 * @property {AbortSignal} [signal] ends the generation with 'aborted', also while the prompt is read
 * @property {Parameters<typeof createSampler>[0]} [sampler] default greedy
 * @property {Attention} [attention] default hsr
 * @property {Prefix} [prefix] continue a prefilled prefix; the prompt then comes after it
 * @property {number} [ctx] tokens that prefix, prompt and answer may have, default the engine's
 * @property {(done: number, total: number) => void} [onPrefill] called with the prompt's tokens that are read, and all of them
 * @property {(stats: GenerateStats) => void} [onStats] called once, when the generation ends
 * @property {(prefix: Prefix) => void} [onPrefix] called last, unless the generation was aborted or left: hands over what was read
 *   and generated, for others to continue; the caller frees it. The newest token is missing where nothing was to follow it
 * @property {boolean | import('./generation/context.js').WatchOptions} [watch] pieces say what attention did; default false
 *
 * @typedef {object} Piece a generated token
 * @property {number} id an end token's only where text had been held back until then
 * @property {string} text may be empty
 * @property {number} index of the token in this generation, from 0
 * @property {Step} [step] when watched: the decode step that this token was sampled from; the first comes from the prefill
 *
 * @typedef {object} Step what attention did in one decode step; to be asked before the next piece is
 * @property {(layer?: number, kvHead?: number) => import('./attention/params.js').AttentionStats} stats of all layers and KV heads, or of some
 * @property {(layer: number, kvHead: number) => import('./generation/context.js').Reported} reported keys that were evaluated exactly
 *
 * @typedef {object} GenerateStats how a generation went
 * @property {number} promptTokens the prefix's included
 * @property {number} generatedTokens without the end token
 * @property {'stop' | 'length'} finishReason stop: an end token or a stop string; length: maxTokens, or the context is full
 * @property {number} prefillMs time that reading the prompt took
 * @property {number[]} decodeMs per generated token after the first
 * @property {import('./attention/params.js').Mode} mode of attention
 * @property {import('./attention/params.js').AttentionStats} attention of the decode steps
 */

export { Prefix };

/** A loaded model, here: in the thread that calls it. @implements {Api} */
export class Engine {
  #closed = false;

  /**
   * Use Engine.load().
   * @internal
   * @param {import('./core/wasm-loader.js').Wasm} wasm
   * @param {number} model
   * @param {import('./model/config.js').ModelConfig} config
   * @param {import('./model/gguf.js').GgufFile} file
   * @param {import('./tokenizer/tokenizer.js').Tokenizer} tokenizer
   * @param {EngineOptions} options
   */
  constructor(wasm, model, config, file, tokenizer, options) {
    /** @internal */
    this.wasm = wasm;
    /** @internal */
    this.model = model;
    /** What the file says of the model's shape. */
    this.config = config;
    /** @internal */
    this.metadata = file.metadata;
    /** @internal */
    this.tokenizer = tokenizer;
    /** How keys and values are stored: 'q8' or 'f32'. */
    this.kv = options.kv ?? 'q8';
    /** Default context length in tokens. */
    this.ctx = options.ctx ?? Math.min(config.contextTrain, MAX_CONTEXT);
    /** Weights of all tensors. */
    this.parameters = file.tensors.reduce((sum, t) => sum + t.rows * t.cols, 0);
  }

  /**
   * Loads a GGUF file: a path (Node), a URL, a File, bytes, or what a store opened, which is closed. On failure nothing stays allocated.
   * @param {import('./bytes/sources.js').Source} source of the file's bytes
   * @param {EngineOptions} [options] how it is to run
   * @returns {Promise<Engine>}
   * @throws {HalfspaceError} bad-argument: an option; bad-file; unsupported: the architecture, a tensor type, threads; out-of-memory; io:
   *   the file or the network; aborted; no-simd
   */
  static async load(source, options = {}) {
    const { kv = 'q8', ctx, signal, fetch } = options;
    let bytes = isByteSource(source) ? source : undefined;
    try {
      checkName('kv', kv, KV_TYPES);
      if (ctx !== undefined) checkContext(ctx);
      bytes = await openSource(source, { signal, fetch });
      const file = await readGguf(bytes, { signal });
      const config = modelConfig(file, options);
      const tokenizer = createTokenizer(file.metadata);
      checkTokens(tokenizer.vocabSize, config.vocab);
      const wasm = await loadWasm(options, options.threads);
      try {
        return new Engine(wasm, await loadModel(wasm, config, file, bytes, options), config, file, tokenizer, options);
      } catch (error) {
        wasm.close();
        throw error;
      }
    } finally {
      await bytes?.close();
    }
  }

  /** The build that was taken, and why others were not; threads; the model's name and size; bytes of WebAssembly memory in use. */
  get info() {
    const { arch, name, contextTrain } = this.config;
    return {
      variant: this.wasm.variant,
      reasons: this.wasm.reasons,
      threads: this.wasm.threads,
      arch,
      name,
      parameters: this.parameters,
      contextTrain,
      kv: this.kv,
      memoryBytes: this.wasm.exports.hs_memory_used() >>> 0,
    };
  }

  /**
   * Token ids of a text, as llama.cpp gives them for the same file.
   * @param {string} text any; lone surrogates read as U+FFFD
   * @param {{addSpecial?: boolean, parseSpecial?: boolean}} [options] addSpecial (default true): with BOS and EOS where the file asks
   *   for them; parseSpecial (default false): the text of a control token becomes that token
   * @returns {number[]}
   * @throws {HalfspaceError} bad-argument: no text; closed
   */
  tokenize(text, options) {
    this.#open();
    return this.tokenizer.encode(text, options);
  }

  /**
   * The text of token ids.
   * @param {number[]} ids 0..vocab-1
   * @param {{skipSpecial?: boolean}} [options] skipSpecial (default false): without control tokens
   * @returns {string}
   * @throws {HalfspaceError} bad-argument: an id that the model has not; closed
   */
  detokenize(ids, options) {
    this.#open();
    return this.tokenizer.decode(ids, options);
  }

  /**
   * The text that each token adds to those before it: '' where it ends inside a character, which is then its successor's.
   * @param {number[]} ids 0..vocab-1
   * @returns {string[]} as many
   * @throws {HalfspaceError} bad-argument: an id that the model has not; closed
   */
  detokenizeEach(ids) {
    this.#open();
    const stream = this.tokenizer.decodeStream();
    const texts = ids.map((id) => stream.push(id));
    if (texts.length > 0) texts[texts.length - 1] += stream.flush();
    return texts;
  }

  /**
   * Token ids of a conversation under the file's chat template, up to where the answer starts.
   * @param {Message[]} messages at most 4096, each with role and content
   * @returns {number[]}
   * @throws {HalfspaceError} bad-argument: a message, or the template refuses them; unsupported: the file has no template, or one that
   *   cannot be parsed or goes beyond its limits; closed
   */
  chatTokens(messages) {
    return this.#ids(messages);
  }

  /**
   * Runs a prompt once, for several generations to continue.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {{ctx?: number, attention?: Attention, prefix?: Prefix, signal?: AbortSignal, onPrefill?: (done: number, total: number) => void}} [options]
   *   attention: default hsr, by Algorithm 2 of the paper; 'dense': exactly. prefix: the prompt comes after it; it stays as it
   *   is, for others to continue. ctx: tokens that prefix and prompt may have, default the engine's. onPrefill: called with the tokens
   *   that are read and all of them. signal: ends it between batches of 128 tokens
   * @returns {Promise<Prefix>} to be freed
   * @throws {HalfspaceError} bad-argument: an empty prompt, an id or an option; context-full; out-of-memory; aborted; closed
   */
  async prefill(prompt, { ctx = this.ctx, attention = 'hsr', prefix, signal, onPrefill } = {}) {
    checkPrefix(prefix);
    const ids = this.#ids(prompt, prefix !== undefined);
    checkFits(ids.length, prefix?.length ?? 0, ctx);
    const context = this.#context(ids.length, prefix?.context);
    const start = performance.now();
    try {
      context.setAttention(attention);
      await context.prefill(ids, { logits: 'none', onBatch: onPrefill, signal });
    } catch (error) {
      context.release();
      throw error;
    }
    return new Prefix(context, elapsedSince(start));
  }

  /**
   * A prefix from its snapshot (Prefix.snapshot()), bit by bit what it was.
   * @param {import('./snapshot/resume.js').SnapshotSource | import('./snapshot/resume.js').SnapshotSource[]} source a path, a URL,
   *   a File, bytes, a stream, what a store opens; or several: a snapshot and those that add to it, in order
   * @param {import('./snapshot/resume.js').ReadOptions & {ctx?: number}} [options] ctx: tokens that it may have,
   *   default the engine's; signal: ends it; onProgress: called with bytes read, and all where that is known
   * @returns {Promise<Prefix>} its prefillMs: what resuming took
   * @throws {HalfspaceError} bad-argument: another model, KV type or RoPE; bad-file; bad-chunk: damaged (ChunkError); context-full;
   *   out-of-memory; io; aborted; closed
   */
  async resume(source, { ctx = this.ctx, signal, onProgress } = {}) {
    this.#open();
    const start = performance.now();
    /** @type {ContextSink | undefined} */
    let sink;
    /** @type {Parameters<typeof readSnapshots>[2]} */
    const sinkOf = (headers, total) => {
      for (const header of headers) checkFit(header, this.config, this.kv);
      const last = headers[headers.length - 1];
      checkFits(last.tokens, 0, ctx);
      this.#open();
      checkClaim(this.wasm, last, total);
      sink = new ContextSink(this.wasm, this.model, this.config, last);
      return { chunk: sink.chunk.bind(sink) };
    };
    try {
      const { info, tokens } = await readSnapshots(this.wasm, source, sinkOf, { signal, onProgress });
      const context = /** @type {ContextSink} */ (sink).finish(tokens);
      const prefix = new Prefix(context, elapsedSince(start));
      prefix.saved = info;
      return prefix;
    } catch (error) {
      sink?.release();
      throw error;
    }
  }

  /**
   * Generates tokens. Text pieces never split a character: a token that ends inside one yields an empty piece.
   * Ends at an end-of-sequence token, a stop string, maxTokens, or the context's end.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {GenerateOptions} [options] how long, with what attention and sampler, after which prefix
   * @returns {AsyncGenerator<Piece, void>}
   * @throws {HalfspaceError} when the first piece is asked for: bad-argument: an empty prompt, an id or an option; context-full;
   *   out-of-memory; closed. Later: aborted, closed
   */
  async *generate(prompt, options = {}) {
    const { maxTokens = 256, stop = [], prefix, ctx = this.ctx, onStats, onPrefix } = checkOptions('options', options);
    checkMaxTokens(maxTokens);
    checkStop(stop);
    checkPrefix(prefix);
    const ids = this.#ids(prompt, prefix !== undefined);
    const held = prefix?.ids ?? [];
    checkFits(ids.length, held.length, ctx);
    const sampler = createSampler(options.sampler);
    const steps = Math.min(maxTokens, ctx - held.length - ids.length);
    const context = this.#context(ids.length + steps, prefix?.context);
    let kept = false;
    try {
      const run = { held, prompt: ids, steps, sampler, check: () => this.#open() };
      const stats = yield* runGeneration(context, this.tokenizer, run, options);
      onStats?.(stats);
      if (!onPrefix) return;
      if (options.watch) context.watch(null);
      kept = true;
      onPrefix(new Prefix(context, stats.prefillMs));
    } finally {
      if (!this.#closed && !kept) context.release();
    }
  }

  /**
   * generate() as a stream: a token is computed when it is read. cancel() ends the generation, also while it reads the prompt, and
   * resolves when its memory is given back.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {GenerateOptions} [options] of generate()
   * @returns {ReadableStream<Piece>}
   * @throws {HalfspaceError} as the stream's error what generate() throws
   */
  stream(prompt, options) {
    return pieceStream(this, prompt, options);
  }

  /**
   * Decodes one continuation twice, token by token in turn: with dense attention and with another, on the same tokens after the same
   * cache. So times come in pairs, and distributions can be compared. The prompt is read exactly.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {import('./generation/compare.js').CompareOptions} [options] how long, and what is compared with dense
   * @returns {AsyncGenerator<import('./generation/compare.js').Compared, void>}
   * @throws {HalfspaceError} when the first token is asked for: bad-argument; context-full; out-of-memory; closed. Later: aborted, closed
   */
  async *compare(prompt, { maxTokens = 32, follow, attention = 'hsr', prefix, ctx = this.ctx, onPrefill, signal } = {}) {
    checkMaxTokens(maxTokens);
    checkPrefix(prefix);
    const ids = this.#ids(prompt, prefix !== undefined);
    const held = prefix?.length ?? 0;
    checkFits(ids.length, held, ctx);
    const steps = Math.min(maxTokens, follow?.length ?? Infinity, ctx - held - ids.length);
    const last = ids[ids.length - 1];
    /** @type {Context[]} */
    const contexts = [];
    const open = (/** @type {number} */ capacity, /** @type {Context | undefined} */ parent) => {
      contexts.unshift(this.#context(capacity, parent));
      return contexts[0];
    };
    try {
      let shared = prefix?.context;
      if (ids.length > 1) {
        shared = open(ids.length - 1, shared);
        shared.setAttention('dense');
        await shared.prefill(ids.slice(0, -1), { logits: 'none', onBatch: onPrefill, signal });
      }
      const [dense, other] = [open(steps, shared), open(steps, shared)];
      dense.setAttention('dense');
      other.setAttention(attention);
      yield* runComparison({ dense, other }, this.tokenizer, { last, steps, follow, check: () => this.#open(), signal });
    } finally {
      if (!this.#closed) for (const context of contexts) context.release();
    }
  }

  /**
   * Logits after the last token of a text, f32[vocab].
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {{attention?: Attention, all?: boolean, signal?: AbortSignal}} [options] attention: default dense; all: of every position,
   *   [tokens][vocab]; signal: ends it between batches of 128 tokens
   * @returns {Promise<Float32Array>}
   * @throws {HalfspaceError} bad-argument: an empty prompt, an id or an option; context-full; out-of-memory; aborted; closed
   */
  async logits(prompt, { attention = 'dense', all = false, signal } = {}) {
    const ids = this.#ids(prompt);
    checkFits(ids.length, 0, this.ctx);
    const context = this.#context(ids.length);
    const out = new Float32Array((all ? ids.length : 1) * this.config.vocab);
    try {
      context.setAttention(attention);
      for (let at = 0; at < ids.length; at += context.batch) {
        const part = ids.slice(at, at + context.batch);
        out.set(await context.prefill(part, { logits: all ? 'all' : 'last', signal }), all ? at * this.config.vocab : 0);
        await nextTurn();
      }
      return out;
    } finally {
      context.release();
    }
  }

  /**
   * Perplexity of the last evalTokens tokens of a text, decoded one by one after an exact prefill of what comes before.
   * @param {Prompt} text cut to ctx tokens
   * @param {{ctx?: number, evalTokens?: number, attention?: Attention, against?: 'dense', signal?: AbortSignal, onPrefill?: (done: number, total: number) => void}} [options]
   *   ctx: tokens of the text that are read, default the engine's; evalTokens: at its end that count, default 256; attention: while
   *   decoding them, default hsr; against: also compare each distribution with dense attention on the same cache; onPrefill: called
   *   with the tokens that are read and all of them; signal: ends it
   * @returns {Promise<{ppl: number, tokens: number, kl?: number, top1Agreement?: number, attention: import('./attention/params.js').AttentionStats}>}
   *   tokens: that counted; kl: mean KL(dense || attention), in nats, and top1Agreement, a share, with `against`
   * @throws {HalfspaceError} bad-argument: fewer than two tokens, or an option; out-of-memory; aborted; closed
   */
  async perplexity(text, { ctx = this.ctx, evalTokens = 256, attention = 'hsr', against, signal, onPrefill } = {}) {
    const ids = this.#ids(text).slice(0, ctx);
    const from = Math.max(1, ids.length - evalTokens);
    if (ids.length < 2)
      throw new HalfspaceError('bad-argument', 'perplexity needs at least two tokens', { field: 'text', value: ids.length, limit: 2 });
    const shared = this.#context(from - 1);
    const contexts = [shared];
    const open = () => {
      contexts.unshift(this.#context(ids.length - from + 1, shared));
      return contexts[0];
    };
    try {
      if (from > 1) await shared.prefill(ids.slice(0, from - 1), { logits: 'none', onBatch: onPrefill, signal });
      const context = open();
      const reference = against && open();
      context.setAttention(attention);
      reference?.setAttention('dense');
      return await runPerplexity({ context, reference }, ids.slice(from - 1), signal);
    } finally {
      for (const context of contexts) context.release();
    }
  }

  /** Ends the threads and gives all memory back. Later calls throw 'closed'. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.wasm.close();
    // The memory belongs to the instance: dropping it frees weights and caches together.
    this.wasm = /** @type {import('./core/wasm-loader.js').Wasm} */ (/** @type {unknown} */ (undefined));
  }

  #open() {
    if (this.#closed) throw new HalfspaceError('closed', 'the engine is closed', { field: 'engine' });
  }

  /** @param {number} capacity @param {Context} [parent] */
  #context(capacity, parent) {
    return new Context(this.wasm, this.model, this.config, { capacity: Math.max(1, capacity), kv: this.kv, parent });
  }

  /** @param {number[]} ids @returns {number[]} a copy */
  #checkedIds(ids) {
    const most = this.config.vocab - 1;
    const wrong = ids.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id <= most));
    if (wrong >= 0) checkInteger(`prompt[${wrong}]`, ids[wrong], 0, most);
    return ids.slice();
  }

  /** @param {Prompt} prompt @param {boolean} [continues] the prompt follows a prefix: no BOS */
  #ids(prompt, continues = false) {
    this.#open();
    if (typeof prompt === 'string') {
      const ids = this.tokenizer.encode(prompt, { addSpecial: !continues, parseSpecial: continues });
      if (ids.length > 0) return ids;
    } else if (Array.isArray(prompt) && prompt.length > 0) {
      if (typeof prompt[0] === 'number') return this.#checkedIds(/** @type {number[]} */ (prompt));
      return this.tokenizer.encode(
        renderChat(this.metadata, this.tokenizer, /** @type {Message[]} */ (prompt), { addGenerationPrompt: true }),
        { addSpecial: !continues, parseSpecial: true },
      );
    }
    throw new HalfspaceError('bad-argument', 'the prompt is empty', { field: 'prompt', value: prompt });
  }
}

/** @param {number} tokens of the tokenizer @param {number} rows of the embedding */
function checkTokens(tokens, rows) {
  const field = 'tokenizer.ggml.tokens';
  if (tokens > rows)
    throw new HalfspaceError('bad-file', `${tokens} tokens, the embedding has ${rows} (${field})`, { field, value: tokens, limit: rows });
}

/** @param {Prefix | undefined} prefix */
function checkPrefix(prefix) {
  if (prefix?.freed) throw new HalfspaceError('closed', 'the prefix was freed', { field: 'prefix' });
}

/** @param {number} maxTokens */
function checkMaxTokens(maxTokens) {
  if (!(Number.isInteger(maxTokens) && maxTokens >= 0))
    throw new HalfspaceError('bad-argument', 'maxTokens must be a count', { field: 'maxTokens', value: maxTokens, limit: 0 });
}

/** @param {number} ctx */
function checkContext(ctx) {
  if (!(Number.isInteger(ctx) && ctx >= 1 && ctx <= MAX_CONTEXT))
    throw new HalfspaceError('bad-argument', `ctx must be 1..${MAX_CONTEXT} tokens`, { field: 'ctx', value: ctx, limit: MAX_CONTEXT });
}

/**
 * @param {number} tokens
 * @param {number} before tokens of the prefix
 * @param {number} ctx
 */
function checkFits(tokens, before, ctx) {
  checkContext(ctx);
  if (before + tokens > ctx)
    throw new HalfspaceError('context-full', `the prompt has ${before + tokens} tokens, the context holds ${ctx}`, {
      field: 'prompt',
      value: before + tokens,
      limit: ctx,
    });
}
