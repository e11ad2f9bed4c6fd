/**
 * States of native llama.cpp in files. It reads long contexts slowly: they are read piece by piece, and a later run goes on from
 * the longest one that a run before it has left, also where that one was stopped.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {Pick<import('node-llama-cpp').LlamaContextSequence, 'controlledEvaluate' | 'saveStateToFile' | 'loadStateFromFile'>} Sequence
 * @typedef {{folder: string, piece: number}} Place piece: tokens; shorter contexts are not worth a file
 */

/** @type {Place} */
export const STATES = { folder: fileURLToPath(new URL('../../build/bench/states', import.meta.url)), piece: 8192 };

/** @param {Sequence} sequence @param {number[]} ids */
export const evaluate = (sequence, ids) => sequence.controlledEvaluate(/** @type {import('node-llama-cpp').Token[]} */ (ids));

export class States {
  /** @param {Place} place @param {string[]} of what a state depends on beside the tokens */
  constructor({ folder, piece }, of) {
    this.folder = folder;
    this.piece = piece;
    this.of = of;
  }

  /** @param {number[]} ids */
  #path(ids) {
    const hash = createHash('sha256')
      .update(JSON.stringify([this.of, ids]))
      .digest('hex');
    return join(this.folder, `${hash.slice(0, 32)}-${ids.length}.state`);
  }

  /**
   * Brings a sequence from `from` to all of the tokens.
   * @param {Sequence} sequence
   * @param {number} from
   * @param {number[]} all
   */
  async read(sequence, from, all) {
    const ends = Array.from({ length: Math.floor(all.length / this.piece) }, (_, i) => (i + 1) * this.piece);
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
    await mkdir(this.folder, { recursive: true });
    await sequence.saveStateToFile(`${path}.part`);
    await rename(`${path}.part`, path);
    await rm(this.#path(ids.slice(0, ids.length - this.piece)), { force: true });
  }
}
