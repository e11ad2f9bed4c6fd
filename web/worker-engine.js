/** An engine in a worker, with the methods of one that is here (remote/api.js). The page, or Node's event loop, stays free. */
import { generatorStream } from './bytes/generator-stream.js';
import { isByteSource } from './bytes/sources.js';
import { badArgument } from './errors.js';
import { pieceStream } from './generation/piece-stream.js';
import { Remote } from './remote/client.js';
import { stepOf } from './remote/steps.js';
import { HANDLE } from './remote/wire.js';
import { inNode, nodeWorker, pageWorker } from './runtime.js';

export { HalfspaceError } from './errors.js';

/**
 * @typedef {import('./engine.js').Engine} Here
 * @typedef {import('./engine.js').Prompt} Prompt
 * @typedef {import('./remote/api.js').Engine} Api
 * @typedef {import('./remote/api.js').Prefix} PrefixApi
 * @typedef {Pick<import('./generation/prefix.js').Prefix, 'length' | 'inherited' | 'ids' | 'prefillMs' | 'saved'>} PrefixData
 */

/** A prefix that is in the worker. @implements {PrefixApi} */
export class Prefix {
  #remote;
  #data;
  #freed = false;
  /** @internal */
  [HANDLE] = 0;

  /** Use engine.prefill(). @internal @param {Remote} remote @param {number} id @param {PrefixData} data */
  constructor(remote, id, data) {
    this.#remote = remote;
    this[HANDLE] = id;
    this.#data = data;
  }

  /** Tokens, those of the prefix it continues included. */
  get length() {
    return this.#data.length;
  }

  /** Tokens that belong to the prefix this one continues. */
  get inherited() {
    return this.#data.inherited;
  }

  /** Ids of all of its tokens, from the first on. */
  get ids() {
    return this.#data.ids;
  }

  /** Milliseconds that reading, or resuming, took. */
  get prefillMs() {
    return this.#data.prefillMs;
  }

  /** What it was resumed from, for `since`. */
  get saved() {
    return this.#data.saved;
  }

  /**
   * Keeps the first tokens.
   * @param {number} length inherited..length
   * @returns {Promise<void>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument: out of range, or something continues this prefix; closed; worker-lost
   */
  async truncate(length) {
    this.#data = await this.#remote.call('truncate', [length], this[HANDLE]);
  }

  /**
   * Its caches as bytes, for Engine.resume(); the prefix must not be freed before the stream has ended.
   * @param {import('./snapshot/writer.js').SnapshotOptions} [options] since: only what is new; signal; onInfo: gets the snapshot's name
   * @returns {ReadableStream<Uint8Array>}
   * @throws {import('./errors.js').HalfspaceError} as the stream's error: closed: it was freed; bad-argument: `since`; aborted; worker-lost
   */
  snapshot(options) {
    return generatorStream(this.#remote.iterate('snapshot', [options], this[HANDLE]));
  }

  /** Gives the memory back, once generations that use it have ended. */
  free() {
    if (!this.#freed) this.#remote.send('free', this[HANDLE]);
    this.#freed = true;
  }

  /** Whether free() was called. */
  get freed() {
    return this.#freed;
  }
}

/** A loaded model in a worker: this side is free while it computes. @implements {Api} */
export class Engine {
  #remote;

  /** Use Engine.load(). @internal @param {Remote} remote @param {Pick<Here, 'config' | 'ctx' | 'kv' | 'parameters'>} model */
  constructor(remote, { config, ctx, kv, parameters }) {
    this.#remote = remote;
    /** What the file says of the model's shape. */
    this.config = config;
    /** Default context length in tokens. */
    this.ctx = ctx;
    /** How keys and values are stored: 'q8' or 'f32'. */
    this.kv = kv;
    /** Weights of all tensors. */
    this.parameters = parameters;
  }

  /**
   * Starts a worker and loads a GGUF file in it: a path (Node), a URL, which may be relative to the page, a File, bytes, or what a
   * store of the page or cachedModel() opened, which is closed.
   * @param {import('./bytes/sources.js').Source} source of the file's bytes
   * @param {import('./remote/api.js').LoadOptions} [options] how it is to run; worker: where a page's halfspace-worker.js is
   * @returns {Promise<Engine>}
   * @throws {import('./errors.js').HalfspaceError} worker-lost, from this and every other method: the worker did not start, or is gone; and
   *   what Engine.load() throws without a worker
   */
  static async load(source, { worker, ...options } = {}) {
    const own = typeof worker === 'string' || worker instanceof URL ? worker : undefined;
    /** @type {Remote} */
    const remote = new Remote(openWorker(own), (id, data) => new Prefix(remote, id, data));
    try {
      return new Engine(remote, await remote.call('load', [sendable(source), options]));
    } catch (error) {
      remote.close();
      throw error;
    } finally {
      await closeSource(source);
    }
  }

  /** As it was when the last call ended. @returns {Here['info']} */
  get info() {
    return this.#remote.state;
  }

  /**
   * The worker is up to 4 pieces ahead, and waits for this side then. With `watch` every piece brings along what its step may be
   * asked for.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {import('./remote/api.js').GenerateOptions} [options] how long, with what attention and sampler, after which prefix
   * @returns {AsyncGenerator<import('./engine.js').Piece, void>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, context-full, out-of-memory, aborted, closed: as without a worker; worker-lost
   */
  async *generate(prompt, options) {
    const { nLayers: layers, nKvHeads: kvHeads } = this.config;
    for await (const { step, ...piece } of this.#remote.iterate('generate', [prompt, options]))
      yield { ...piece, ...(step && { step: stepOf(step, { layers, kvHeads }) }) };
  }

  /**
   * generate() as a stream.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {import('./remote/api.js').GenerateOptions} [options] of generate()
   * @returns {ReadableStream<import('./engine.js').Piece>}
   * @throws {import('./errors.js').HalfspaceError} as the stream's error what generate() throws
   */
  stream(prompt, options) {
    return pieceStream(this, prompt, options);
  }

  /**
   * Runs a prompt once, for several generations to continue.
   * @param {Parameters<Here['prefill']>} args the prompt and, if wanted, options: ctx, attention, prefix, signal, onPrefill
   * @returns {Promise<Prefix>} to be freed
   * @throws {import('./errors.js').HalfspaceError} bad-argument, context-full, out-of-memory, aborted, closed: as without a worker; worker-lost
   */
  prefill(...args) {
    return this.#remote.call('prefill', args);
  }

  /**
   * A prefix from its snapshot (Prefix.snapshot()), bit by bit what it was.
   * @param {Parameters<Here['resume']>[0]} source of a snapshot, or several: one and those that add to it, in order
   * @param {Parameters<Here['resume']>[1]} [options] ctx: tokens that it may have; signal: ends it; onProgress: called with bytes read
   * @returns {Promise<Prefix>} its prefillMs: what resuming took
   * @throws {import('./errors.js').HalfspaceError} bad-argument, bad-file, bad-chunk (ChunkError), context-full, out-of-memory, io, aborted, closed: as
   *   without a worker; worker-lost
   */
  async resume(source, options) {
    const sources = Array.isArray(source) ? source : [source];
    try {
      return await this.#remote.call('resume', [sources.map(sendable), options]);
    } finally {
      for (const one of sources) await closeSource(one);
    }
  }

  /**
   * Logits after the last token of a text, f32[vocab].
   * @param {Parameters<Here['logits']>} args the prompt and, if wanted, options: attention (default dense), all, signal
   * @returns {ReturnType<Here['logits']>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, context-full, out-of-memory, aborted, closed: as without a worker; worker-lost
   */
  logits(...args) {
    return this.#remote.call('logits', args);
  }

  /**
   * Perplexity of the end of a text, decoded one by one after an exact prefill of what comes before.
   * @param {Parameters<Here['perplexity']>} args the text and, if wanted, options: ctx, evalTokens, attention, against, signal, onPrefill
   * @returns {ReturnType<Here['perplexity']>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, out-of-memory, aborted, closed: as without a worker; worker-lost
   */
  perplexity(...args) {
    return this.#remote.call('perplexity', args);
  }

  /**
   * Decodes one continuation twice, with dense attention and with another, token by token in turn.
   * @param {Prompt} prompt text, token ids, or a conversation
   * @param {import('./remote/api.js').CompareOptions} [options] how long, and what is compared with dense
   * @returns {AsyncGenerator<import('./generation/compare.js').Compared, void>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, context-full, out-of-memory, aborted, closed: as without a worker; worker-lost
   */
  compare(prompt, options) {
    return this.#remote.iterate('compare', [prompt, options]);
  }

  /**
   * Token ids of a text, as llama.cpp gives them for the same file.
   * @param {Parameters<Here['tokenize']>} args the text and, if wanted, options: addSpecial (default true), parseSpecial (default false)
   * @returns {Promise<number[]>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, closed: as without a worker; worker-lost
   */
  tokenize(...args) {
    return this.#remote.call('tokenize', args);
  }

  /**
   * The text of token ids.
   * @param {Parameters<Here['detokenize']>} args the ids and, if wanted, options: skipSpecial (default false)
   * @returns {Promise<string>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, closed: as without a worker; worker-lost
   */
  detokenize(...args) {
    return this.#remote.call('detokenize', args);
  }

  /**
   * The text that each token adds to those before it.
   * @param {Parameters<Here['detokenizeEach']>} args the ids
   * @returns {Promise<string[]>} as many
   * @throws {import('./errors.js').HalfspaceError} bad-argument, closed: as without a worker; worker-lost
   */
  detokenizeEach(...args) {
    return this.#remote.call('detokenizeEach', args);
  }

  /**
   * Token ids of a conversation under the file's chat template, up to where the answer starts.
   * @param {Parameters<Here['chatTokens']>} args the messages, each with role and content
   * @returns {Promise<number[]>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument, unsupported, closed: as without a worker; worker-lost
   */
  chatTokens(...args) {
    return this.#remote.call('chatTokens', args);
  }

  /** Ends the worker. Calls that are open, and later ones, throw 'closed'. */
  close() {
    this.#remote.close();
  }
}

/** @param {string | URL} [url] of a page's worker, where it is not this package's own */
function openWorker(url) {
  if (inNode) return nodeWorker(new URL('./remote/worker.js', import.meta.url));
  if (url) return pageWorker(new Worker(absolute(url), { type: 'module' }));
  return pageWorker(new Worker(new URL('./remote/worker.js', import.meta.url), { type: 'module' }));
}

/**
 * What a store opened stays on this side; its blob, if it has one, is known on the other, too.
 * @param {import('./snapshot/pieces.js').SnapshotSource} source
 */
function sendable(source) {
  if (!isByteSource(source)) return absolute(source);
  if (source.blob) return source.blob();
  throw badArgument('source', `${source.name} cannot go to a worker: load it with worker: false`, source.name, 'a source with a blob');
}

/** @param {unknown} source */
async function closeSource(source) {
  if (isByteSource(source)) await source.close();
}

/**
 * In a page text is a URL, relative to the page as everywhere there: a worker would take it as relative to its own script.
 * @internal
 * @template T
 * @param {T} source
 */
export function absolute(source) {
  if (inNode || typeof source !== 'string' || source === '') return source;
  const base = globalThis.document?.baseURI ?? location.href;
  return URL.canParse(source, base) ? new URL(source, base).href : source;
}
