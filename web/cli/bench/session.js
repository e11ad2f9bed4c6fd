/** A model's context that is timed: prefilled, and decoding rounds of tokens after which it is as before. In any runtime. */
import { Context } from '../../context.js';
import { compareDistributions } from '../../distributions.js';

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
        kl: compared.reduce((sum, { kl }) => sum + kl, 0) / ids.length,
        top1Agreement: compared.filter(({ sameTop }) => sameTop).length / ids.length,
        exactFraction,
      },
    };
  }
}
