/** A model's context that is timed: prefilled, and decoding rounds of tokens after which it is as before. In any runtime. */
import { Context } from '../../generation/context.js';
import { compareDistributions } from '../../generation/distributions.js';
import { createSampler } from '../../generation/sampler.js';
import { mean } from '../numbers.js';
import { CoreProfile, totalOf } from './phases.js';

/**
 * @typedef {import('../../engine.js').Engine} Engine
 * @typedef {{kl: number, top1Agreement: number, exactFraction: number}} Quality means over the tokens of a round, against dense
 * @typedef {{ms: number[], quality?: Quality}} Round ms: of each token
 */

export class Session {
  /** @type {Context | undefined} */
  #context;
  /** Of the last dense round, per token. @type {{start: number, ids: number[], logits: Float32Array[]} | undefined} */
  #reference;

  /** @param {Engine} engine @param {number} capacity tokens of the context, those of a round included */
  constructor(engine, capacity) {
    this.engine = engine;
    this.capacity = capacity;
  }

  /** Empties the context. */
  reset() {
    this.#context?.release();
    this.#context = undefined;
  }

  /**
   * Appends tokens.
   * @param {number[]} ids
   * @param {'dense' | 'hsr'} mode dense: exactly
   * @param {(done: number) => void} [onBatch]
   * @returns {Promise<number>} milliseconds
   */
  async prefill(ids, mode, onBatch) {
    const { wasm, model, config, kv } = this.engine;
    const context = (this.#context ??= new Context(wasm, model, config, { capacity: this.capacity, kv }));
    context.setAttention(mode === 'dense' ? mode : { prefill: 'hsr' });
    const began = performance.now();
    await context.prefill(ids, { logits: 'none', onBatch });
    return performance.now() - began;
  }

  /**
   * The same with the time by phase, in a build with a clock.
   * @param {number[]} ids
   * @param {'dense' | 'hsr'} mode
   * @returns {Promise<import('./phases.js').Phases>}
   */
  async profilePrefill(ids, mode) {
    this.reset();
    const core = new CoreProfile(this.engine.wasm);
    core.reset();
    const ms = await this.prefill(ids, mode);
    const phases = core.read();
    return { ...phases, JavaScript: ms - totalOf(phases) };
  }

  /**
   * Decodes tokens one by one, as a generation does, and drops them: the time by phase, in a build with a clock.
   * @param {number[]} ids
   * @param {import('../../engine.js').Attention} attention
   * @returns {import('./phases.js').Phases}
   */
  profileRound(ids, attention) {
    const context = /** @type {Context} */ (this.#context);
    const start = context.length;
    const core = new CoreProfile(this.engine.wasm);
    const sampler = createSampler();
    context.setAttention(attention);
    let sampling = 0;
    core.reset();
    const began = performance.now();
    for (const id of ids) {
      context.decode(id);
      const logits = context.logits().slice();
      const decoded = performance.now();
      sampler.sample(logits, ids);
      sampling += performance.now() - decoded;
    }
    const ms = performance.now() - began;
    const phases = { ...core.read(), sampling };
    context.truncate(start);
    return { ...phases, JavaScript: ms - totalOf(phases) };
  }

  /**
   * Decodes tokens one by one and drops them. A round of another kind than dense is compared with the
   * dense one before it, if that was of the same tokens.
   * @param {number[]} ids
   * @param {import('../../engine.js').Attention} attention
   * @returns {Round}
   */
  round(ids, attention) {
    const context = /** @type {Context} */ (this.#context);
    const start = context.length;
    context.setAttention(attention);
    context.resetStats();
    /** @type {number[]} */
    const ms = [];
    const logits = ids.map((id) => {
      const began = performance.now();
      context.decode(id);
      ms.push(performance.now() - began);
      return context.logits().slice();
    });
    const { exactFraction } = context.stats();
    context.truncate(start);
    if (attention === 'dense') {
      this.#reference = { start, ids, logits };
      return { ms };
    }
    const of = this.#reference;
    if (!of || of.start !== start || of.ids.join() !== ids.join()) return { ms };
    const compared = logits.map((row, i) => compareDistributions(of.logits[i], row));
    return {
      ms,
      quality: {
        kl: mean(compared.map(({ kl }) => kl)),
        top1Agreement: mean(compared.map(({ sameTop }) => (sameTop ? 1 : 0))),
        exactFraction,
      },
    };
  }
}
