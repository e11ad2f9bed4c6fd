/**
 * Native llama.cpp, by node-llama-cpp's packaged binary. KV f16 without flash attention, its default, is its fastest here.
 *
 * It reads long contexts slowly. Where their states are kept, they are read piece by piece, and a later run goes on from the
 * longest one that a run before it has left in build/bench/states, also where that one was stopped.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { getLlama, getModuleVersion, readGgufFileInfo } from 'node-llama-cpp';

import { ropeMetadata, ropeText } from './rope.js';

const GREEDY = { generateNext: { token: true, options: { temperature: 0 } } };
/** It needs a little more than the tokens that are decoded. */
const SPARE = 8;
const STATES = fileURLToPath(new URL('../../build/bench/states', import.meta.url));
/** Tokens of a piece; shorter contexts are not worth a file. */
const PIECE = 8192;

/** @typedef {import('node-llama-cpp').LlamaContextSequence} Sequence */

/**
 * @param {string} path of the model
 * @param {number} capacity tokens
 * @param {{threads: number, rope: import('./rope.js').Rope, states: boolean}} options states: keep those of long contexts
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Subject>}
 */
export async function nativePeer(path, capacity, { threads, rope, states }) {
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: /** @type {any} */ ('disabled') });
  try {
    const { architecture } = (await readGgufFileInfo(path)).metadata.general;
    const metadataOverrides = /** @type {any} */ ({ [architecture]: ropeMetadata(rope) });
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0, metadataOverrides });
    const context = await model.createContext({ contextSize: capacity + SPARE, threads });
    const sequence = context.getSequence();
    const version = `node-llama-cpp ${await getModuleVersion()}, llama.cpp ${llama.llamaCppRelease.release}`;
    const kept = states ? new States([version, path, String((await stat(path)).size), JSON.stringify(rope)]) : undefined;
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

/** @param {Sequence} sequence @param {number[]} ids */
const evaluate = (sequence, ids) => sequence.controlledEvaluate(/** @type {import('node-llama-cpp').Token[]} */ (ids));

/** Files with the state after the first tokens of a text, for one model and setting. */
class States {
  /** @param {string[]} of what a state depends on beside the tokens */
  constructor(of) {
    this.of = of;
  }

  /** @param {number[]} ids */
  #path(ids) {
    const hash = createHash('sha256')
      .update(JSON.stringify([this.of, ids]))
      .digest('hex');
    return join(STATES, `${hash.slice(0, 32)}-${ids.length}.state`);
  }

  /**
   * Brings a sequence from `from` to all of the tokens.
   * @param {Sequence} sequence
   * @param {number} from
   * @param {number[]} all
   */
  async read(sequence, from, all) {
    const ends = Array.from({ length: Math.floor(all.length / PIECE) }, (_, i) => (i + 1) * PIECE);
    const found = ends.findLast((end) => end > from && existsSync(this.#path(all.slice(0, end))));
    if (found !== undefined) await sequence.loadStateFromFile(this.#path(all.slice(0, found)), { acceptRisk: true });
    let at = found ?? from;
    for (const end of ends.filter((n) => n > at)) {
      await evaluate(sequence, all.slice(at, end));
      await this.#save(sequence, all.slice(0, end));
      at = end;
    }
    if (at < all.length) await evaluate(sequence, all.slice(at));
  }

  /** One file per text: the shorter one that it continues is of no more use. @param {Sequence} sequence @param {number[]} ids */
  async #save(sequence, ids) {
    const path = this.#path(ids);
    await mkdir(STATES, { recursive: true });
    await sequence.saveStateToFile(`${path}.part`);
    await rename(`${path}.part`, path);
    await rm(this.#path(ids.slice(0, ids.length - PIECE)), { force: true });
  }
}
