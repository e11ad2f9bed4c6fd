/** A model inside the core: its configuration, then its weights. */
import { HalfspaceError } from '../errors.js';
import { loadWeights } from './weights.js';

/**
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {import('./config.js').ModelConfig} config
 * @param {import('./gguf.js').GgufFile} file
 * @param {import('../bytes/sources.js').ByteSource} source
 * @param {Parameters<typeof loadWeights>[5]} [options]
 * @returns {Promise<number>} pointer
 */
export async function loadModel(wasm, config, file, source, options) {
  const words = wasm.alloc(config.words.byteLength, 'configuration');
  wasm.bytes(words, config.words.byteLength).set(new Uint8Array(config.words));
  const model = wasm.exports.hs_model_create(words) >>> 0;
  wasm.exports.hs_free(words);
  if (model === 0) {
    const failure = wasm.lastFailure('configuration');
    if (failure.code === 'out-of-memory') throw failure;
    throw new HalfspaceError('unsupported', `${config.name}: ${wasm.lastError()}`, { field: 'configuration' });
  }
  await loadWeights(wasm, model, file, config.nLayers, source, options);
  return model;
}
