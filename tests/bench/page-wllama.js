/** wllama in a page: what wllama.js calls. Several settings are loaded beside each other. */
// @ts-expect-error the server has it
import { Wllama } from '/peers/@wllama/wllama/esm/index.js';

const WASM = { default: '/peers/@wllama/wllama/esm/wasm/wllama.wasm' };

/** @type {Map<string, any>} */
const loaded = new Map();

/**
 * Greedy, and on past an end of sequence. What the cache holds of the prompt is not read again.
 * @param {string} name
 * @param {string} prompt
 * @param {number} tokens
 */
async function complete(name, prompt, tokens) {
  const result = await loaded
    .get(name)
    .createCompletion({ prompt, max_tokens: tokens, temperature: 0, ignore_eos: true, cache_prompt: true });
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
