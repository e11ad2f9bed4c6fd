/** Native llama.cpp, by node-llama-cpp's packaged binary. KV f16 without flash attention, its default, is its fastest here. */
import { stat } from 'node:fs/promises';

import { getLlama, getModuleVersion, readGgufFileInfo } from 'node-llama-cpp';

import { ropeMetadata, ropeText } from './rope.js';
import { evaluate, States } from './states.js';

const GREEDY = { generateNext: { token: true, options: { temperature: 0 } } };
/** It needs a little more than the tokens that are decoded. */
const SPARE = 8;

/**
 * @param {string} path of the model
 * @param {number} capacity tokens
 * @param {{threads: number, rope: import('./rope.js').Rope, states?: {folder: string, piece: number}}} options states: where those
 *   of long contexts are kept, every so many tokens
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Subject>}
 */
export async function nativePeer(path, capacity, { threads, rope, states }) {
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 0, logLevel: /** @type {any} */ ('disabled') });
  try {
    const { architecture } = (await readGgufFileInfo(path)).metadata.general;
    const metadataOverrides = /** @type {any} */ ({ [architecture]: ropeMetadata(rope) });
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0, metadataOverrides });
    const context = await model.createContext({ contextSize: capacity + SPARE, threads: { ideal: threads, min: threads } });
    if (context.currentThreads !== threads) throw new Error(`llama.cpp takes ${context.currentThreads} threads instead of ${threads}`);
    const sequence = context.getSequence();
    const version = `node-llama-cpp ${await getModuleVersion()}, llama.cpp ${llama.llamaCppRelease.release}`;
    const kept = states && new States(states, [version, path, String((await stat(path)).size), JSON.stringify(rope)]);
    /** @type {number[]} */
    let held = [];
    return {
      name: 'llama.cpp',
      most: capacity,
      about: { version, settings: `KV f16, no flash attention, ${threads} thread(s)${ropeText(rope)}` },
      async prefill(ids) {
        const began = performance.now();
        const all = [...held, ...ids];
        if (kept) await kept.read(sequence, held.length, all);
        else await evaluate(sequence, ids);
        held = all;
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
      async reset() {
        held = [];
        await sequence.clearHistory();
      },
      close: () => llama.dispose(),
    };
  } catch (error) {
    await llama.dispose();
    throw error;
  }
}
