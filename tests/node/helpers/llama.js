/** Native llama.cpp as oracle of next-token distributions. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { getLlama } from 'node-llama-cpp';

import { compareDistributions } from '../../../web/generation/distributions.js';

/** Smaller log-probabilities do not matter, and llama.cpp gives them as 0. */
const LEAST_LOG = -80;

/** @returns {Promise<import('node-llama-cpp').Llama>} */
export const startLlama = () => getLlama({ gpu: false, build: 'never', logLevel: /** @type {any} */ ('disabled') });

/**
 * Loads a file into llama.cpp for as long as `use` runs.
 * @template T
 * @param {import('node-llama-cpp').Llama} llama
 * @param {string | Uint8Array} source path, or the bytes of a file
 * @param {Partial<import('node-llama-cpp').LlamaModelOptions>} options
 * @param {(model: import('node-llama-cpp').LlamaModel) => T | Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withLlamaModel(llama, source, options, use) {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-llama-'));
  try {
    const path = typeof source === 'string' ? source : join(folder, 'model.gguf');
    if (typeof source !== 'string') await writeFile(path, source);
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0, ...options });
    try {
      return await use(model);
    } finally {
      await model.dispose();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Log-probabilities after each of `ids`.
 * @param {import('node-llama-cpp').Llama} llama
 * @param {string | Uint8Array} source path, or the bytes of a file
 * @param {number[]} ids
 * @param {number} vocab
 * @param {{oneByOne?: boolean}} [options] oneByOne: decode each token instead of the batch
 * @returns {Promise<Float32Array[]>}
 */
export function llamaDistributions(llama, source, ids, vocab, { oneByOne = false } = {}) {
  return withLlamaModel(llama, source, {}, async (model) => {
    const sequence = (await model.createContext({ contextSize: 512, threads: 2 })).getSequence();
    const batches = oneByOne ? ids.map((id) => [id]) : [ids];
    const rows = [];
    for (const batch of batches) {
      const results = await sequence.controlledEvaluate(batch.map((id) => [id, { generateNext: { probabilities: true } }]));
      for (const result of results) {
        const row = new Float32Array(vocab).fill(LEAST_LOG);
        for (const [id, p] of /** @type {any} */ (result).next.probabilities) row[id] = Math.max(LEAST_LOG, Math.log(p));
        rows.push(row);
      }
    }
    return rows;
  });
}

/**
 * Mean KL and share of equal top tokens of two lists of distributions.
 * @param {Float32Array[]} reference
 * @param {Float32Array[]} subject
 */
export function meanDifference(reference, subject) {
  const pairs = reference.map((row, i) => compareDistributions(row, subject[i]));
  return {
    kl: pairs.reduce((sum, pair) => sum + pair.kl, 0) / pairs.length,
    top1: pairs.filter((pair) => pair.sameTop).length / pairs.length,
  };
}

/**
 * Our own distributions after each of `ids`.
 * @param {import('../../../web/index.js').Engine} engine
 * @param {number[]} ids
 */
export async function ourDistributions(engine, ids) {
  const { vocab } = engine.config;
  const logits = await engine.logits(ids, { all: true });
  return ids.map((_, i) => logits.subarray(i * vocab, (i + 1) * vocab));
}
