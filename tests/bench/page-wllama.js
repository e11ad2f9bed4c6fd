/** wllama in a page: what wllama.js calls. Several settings are loaded beside each other. */
// @ts-expect-error the server has it
import { Wllama } from '/peers/@wllama/wllama/esm/index.js';

const WASM = { default: '/peers/@wllama/wllama/esm/wasm/wllama.wasm' };

/** @type {Map<string, any>} */
const loaded = new Map();

/**
 * Greedy, and on past an end of sequence.
 * @param {string} name
 * @param {string} prompt
 * @param {number} tokens
 * @param {boolean} cached whether to go on from what the cache holds of the prompt
 */
async function complete(name, prompt, tokens, cached) {
  const result = await loaded
    .get(name)
    .createCompletion({ prompt, max_tokens: tokens, temperature: 0, ignore_eos: true, cache_prompt: cached });
  return result.timings;
}

/** @type {any} */ (globalThis).bench = {
  /** @param {string} name @param {string} model URL @param {object} settings of loadModel() */
  async load(name, model, settings) {
    const wllama = new Wllama(WASM, { suppressNativeLog: true });
    await wllama.loadModel([await (await fetch(model)).blob()], settings);
    loaded.set(name, wllama);
    return { threads: wllama.getNumThreads(), llamaCpp: Wllama.getLibllamaVersion() };
  },
  complete,
};
