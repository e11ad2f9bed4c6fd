/** Native llama.cpp, by node-llama-cpp's packaged binary. KV f16 without flash attention, its default, is its fastest here. */
import { getLlama, getModuleVersion } from 'node-llama-cpp';

const GREEDY = { generateNext: { token: true, options: { temperature: 0 } } };
/** It needs a little more than the tokens that are decoded. */
const SPARE = 8;

/**
 * @param {string} path of the model
 * @param {number} capacity tokens
 * @param {number} threads
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Subject>}
 */
export async function nativePeer(path, capacity, threads) {
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: /** @type {any} */ ('disabled') });
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: capacity + SPARE, threads });
  const sequence = context.getSequence();
  return {
    name: 'llama.cpp',
    most: capacity,
    about: {
      version: `node-llama-cpp ${await getModuleVersion()}, llama.cpp ${llama.llamaCppRelease.release}`,
      settings: `KV f16, no flash attention, ${threads} thread(s)`,
    },
    async prefill(ids) {
      const began = performance.now();
      await sequence.controlledEvaluate(/** @type {import('node-llama-cpp').Token[]} */ (ids));
      return performance.now() - began;
    },
    async round(ids) {
      const start = sequence.nextTokenIndex;
      const ms = [];
      for (const id of /** @type {import('node-llama-cpp').Token[]} */ (ids)) {
        const began = performance.now();
        await sequence.controlledEvaluate([[id, GREEDY]]);
        ms.push(performance.now() - began);
      }
      await sequence.eraseContextTokenRanges([{ start, end: start + ids.length }]);
      if (sequence.nextTokenIndex !== start) throw new Error(`llama.cpp kept ${sequence.nextTokenIndex} tokens instead of ${start}`);
      return { ms };
    },
    reset: () => sequence.clearHistory(),
    close: () => llama.dispose(),
  };
}
