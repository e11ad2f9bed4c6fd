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
  [HANDLE] = 0;

  /** Use engine.prefill(). @param {Remote} remote @param {number} id @param {PrefixData} data */
  constructor(remote, id, data) {
    this.#remote = remote;
    this[HANDLE] = id;
    this.#data = data;
  }

  get length() {
    return this.#data.length;
  }

  get inherited() {
    return this.#data.inherited;
  }

  get ids() {
    return this.#data.ids;
  }

  get prefillMs() {
    return this.#data.prefillMs;
  }

  get saved() {
    return this.#data.saved;
  }

  /** @param {number} length tokens to keep */
  async truncate(length) {
    this.#data = await this.#remote.call('truncate', [length], this[HANDLE]);
  }

  /**
   * Its caches as bytes, for Engine.resume(); the prefix must not be freed before the stream has ended.
   * @param {import('./snapshot/writer.js').SnapshotOptions} [options]
   * @returns {ReadableStream<Uint8Array>}
   */
  snapshot(options) {
    return generatorStream(this.#remote.iterate('snapshot', [options], this[HANDLE]));
  }

  free() {
    if (!this.#freed) this.#remote.send('free', this[HANDLE]);
    this.#freed = true;
  }

  get freed() {
    return this.#freed;
  }
}

/** @implements {Api} */
export class Engine {
  #remote;

  /** Use Engine.load(). @param {Remote} remote @param {Pick<Here, 'config' | 'ctx' | 'kv' | 'parameters'>} model */
  constructor(remote, { config, ctx, kv, parameters }) {
    this.#remote = remote;
    this.config = config;
    this.ctx = ctx;
    this.kv = kv;
    this.parameters = parameters;
  }

  /**
   * Starts a worker and loads a GGUF file in it: a path (Node), a URL, which may be relative to the page, a File, bytes, or what a
   * store of the page or cachedModel() opened, which is closed.
   * @param {import('./bytes/sources.js').Source} source
   * @param {import('./remote/api.js').LoadOptions} [options]
   * @throws {import('./errors.js').HalfspaceError} worker-lost, from this and every other method: the worker did not start, or is gone
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
   * @param {Prompt} prompt
   * @param {import('./remote/api.js').GenerateOptions} [options]
   * @returns {AsyncGenerator<import('./engine.js').Piece, void>}
   */
  async *generate(prompt, options) {
    const { nLayers: layers, nKvHeads: kvHeads } = this.config;
    for await (const { step, ...piece } of this.#remote.iterate('generate', [prompt, options]))
      yield { ...piece, ...(step && { step: stepOf(step, { layers, kvHeads }) }) };
  }

  /**
   * generate() as a stream.
   * @param {Prompt} prompt
   * @param {import('./remote/api.js').GenerateOptions} [options]
   */
  stream(prompt, options) {
    return pieceStream(this, prompt, options);
  }

  /** @param {Parameters<Here['prefill']>} args @returns {Promise<Prefix>} */
  prefill(...args) {
    return this.#remote.call('prefill', args);
  }

  /**
   * @param {Parameters<Here['resume']>[0]} source
   * @param {Parameters<Here['resume']>[1]} [options]
   * @returns {Promise<Prefix>}
   */
  async resume(source, options) {
    const sources = Array.isArray(source) ? source : [source];
    try {
      return await this.#remote.call('resume', [sources.map(sendable), options]);
    } finally {
      for (const one of sources) await closeSource(one);
    }
  }

  /** @param {Parameters<Here['logits']>} args @returns {ReturnType<Here['logits']>} */
  logits(...args) {
    return this.#remote.call('logits', args);
  }

  /** @param {Parameters<Here['perplexity']>} args @returns {ReturnType<Here['perplexity']>} */
  perplexity(...args) {
    return this.#remote.call('perplexity', args);
  }

  /**
   * @param {Prompt} prompt
   * @param {import('./remote/api.js').CompareOptions} [options]
   * @returns {AsyncGenerator<import('./generation/compare.js').Compared, void>}
   */
  compare(prompt, options) {
    return this.#remote.iterate('compare', [prompt, options]);
  }

  /** @param {Parameters<Here['tokenize']>} args @returns {Promise<number[]>} */
  tokenize(...args) {
    return this.#remote.call('tokenize', args);
  }

  /** @param {Parameters<Here['detokenize']>} args @returns {Promise<string>} */
  detokenize(...args) {
    return this.#remote.call('detokenize', args);
  }

  /** @param {Parameters<Here['detokenizeEach']>} args @returns {Promise<string[]>} */
  detokenizeEach(...args) {
    return this.#remote.call('detokenizeEach', args);
  }

  /** @param {Parameters<Here['chatTokens']>} args @returns {Promise<number[]>} */
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
 * @template T
 * @param {T} source
 */
export function absolute(source) {
  if (inNode || typeof source !== 'string' || source === '') return source;
  const base = globalThis.document?.baseURI ?? location.href;
  return URL.canParse(source, base) ? new URL(source, base).href : source;
}
