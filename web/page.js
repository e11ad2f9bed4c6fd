/** Halfspace in a page: engines run in a worker, unless they are told not to. */
import { absolute, Engine as WorkerEngine } from './worker-engine.js';

export { commonLength, documentPrompt, questionTokens } from './chat/document-prompt.js';
export { ChunkError, HalfspaceError } from './errors.js';
export { inspectSnapshot, verifySnapshot } from './snapshot/inspect.js';
export { openMemoryStore } from './stores/memory.js';
export { openOpfsStore } from './stores/opfs.js';
export { cachedModel } from './stores/cached-model.js';

/** Types for those who write TypeScript. @typedef {import('./remote/api.js').Prefix} Prefix */
/** @typedef {import('./remote/api.js').GenerateOptions} GenerateOptions */
/** @typedef {import('./remote/api.js').LoadOptions} LoadOptions */

/** @typedef {import('./remote/api.js').Engine} Engine */

/** The engine of a page. Its methods are those of the worker's. */
export const Engine = {
  /**
   * Loads a GGUF file: a URL, which may be relative to the page, a File, bytes, or what a store or cachedModel() opened, which is
   * closed.
   * @param {import('./bytes/sources.js').Source} source of the file's bytes
   * @param {import('./remote/api.js').LoadOptions} [options] worker: default true in a page, false in a worker, which is not in the way
   * @returns {Promise<Engine>}
   * @throws {import('./errors.js').HalfspaceError} bad-argument: an option; bad-file; unsupported: the architecture, a tensor type,
   *   threads; out-of-memory; io; aborted; no-simd; worker-lost
   */
  async load(source, { worker = typeof document !== 'undefined', ...options } = {}) {
    if (worker) return WorkerEngine.load(source, { worker, ...options });
    const { Engine: Here } = await import('./engine.js');
    return Here.load(absolute(source), options);
  },
};
