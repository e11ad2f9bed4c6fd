/** From a model's file to the first token of a short prompt. In any runtime. */
import { KV_TYPES } from '../../core/kv.js';
import { Engine } from '../../engine.js';
import { engineOptions } from '../engine-options.js';

/**
 * @typedef {object} FirstToken
 * @property {import('../../core/wasm-loader.js').Variant} variant
 * @property {number} threads
 * @property {number} ms all of it
 * @property {number} loadMs until the engine is ready
 * @property {number} promptTokens
 * @property {number} weightBytes in the file
 * @property {number} kvBytes of the context: cache, index, scratch
 * @property {number} coreBytes the WebAssembly memory, which never shrinks: its peak
 */

/**
 * @param {string | Blob} model
 * @param {import('../engine-options.js').ModelOptions} options
 * @param {string} prompt
 * @returns {Promise<FirstToken>}
 */
export async function firstToken(model, options, prompt) {
  let weightBytes = 0;
  const began = performance.now();
  const engine = await Engine.load(model, { ...engineOptions(options), onProgress: (_, total) => (weightBytes = total) });
  const loadMs = performance.now() - began;
  const ids = engine.tokenize(prompt);
  let ms = 0;
  for await (const _ of engine.generate(ids, { maxTokens: 1 })) ms = performance.now() - began;
  const { exports, memory } = engine.wasm;
  const { variant, threads } = engine.info;
  const result = {
    variant,
    threads,
    ms,
    loadMs,
    promptTokens: ids.length,
    weightBytes,
    kvBytes: exports.hs_context_bytes(engine.model, ids.length + 1, KV_TYPES[engine.kv]),
    coreBytes: memory.buffer.byteLength,
  };
  engine.close();
  return result;
}
