/** The tokens that follow a prompt, decoded with dense attention and with others after the same exact prefix. */
import { loadEngine, readText } from '../../web/cli/common.js';
import { Context } from '../../web/generation/context.js';
import { compareDistributions, logProbability } from '../../web/generation/distributions.js';
import { nextTurn } from '../../web/generation/next-turn.js';
import { decodeChosen, evidenceBuild } from './chosen.js';

/**
 * @typedef {import('../../web/attention/params.js').EngineAttention} EngineAttention
 * @typedef {import('./chosen.js').Step} Step
 *
 * @typedef {object} Quality of decoding, against dense attention over the same tokens
 * @property {number} kl mean
 * @property {number} top1 share of the tokens with the same most probable successor
 * @property {number} perplexity
 * @property {import('../../web/attention/params.js').AttentionStats} stats of the engine's own attention
 */

export class Following {
  /** Of dense attention, per token. @type {Float32Array[]} */
  #logits = [];

  /**
   * Use open().
   * @param {import('../../web/engine.js').Engine} engine
   * @param {Context} prefix
   * @param {number[]} ids
   */
  constructor(engine, prefix, ids) {
    this.engine = engine;
    this.prefix = prefix;
    this.ids = ids;
    this.shape = prefix.shape;
  }

  /**
   * Reads the first `keys` tokens of the text with dense attention.
   * @param {import('./section.js').Setting} setting
   * @param {{keys: number, tokens: number}} size tokens: as many can be decoded after them
   */
  static async open({ model, file, variant, log }, { keys, tokens }) {
    const engine = await loadEngine({ model, variant, ...evidenceBuild() });
    const ids = engine.tokenize(await readText(file)).slice(0, keys + tokens + 1);
    if (ids.length <= keys + tokens) throw new Error(`${file} has ${ids.length} tokens, ${keys + tokens + 1} are needed`);
    const prefix = new Context(engine.wasm, engine.model, engine.config, { capacity: keys, kv: engine.kv });
    prefix.setAttention('dense');
    const onBatch = (/** @type {number} */ done) => {
      if (done % 2048 === 0) log(`${done} of ${keys} tokens read`);
    };
    await prefix.prefill(ids.slice(0, keys), { logits: 'none', onBatch });
    return new Following(engine, prefix, ids.slice(keys));
  }

  close() {
    this.engine.close();
  }

  /**
   * Decodes tokens after the prefix, each of which is given to `look` with the context.
   * @param {number} tokens
   * @param {EngineAttention} attention
   * @param {(context: Context, id: number, i: number) => void} decode
   */
  async #each(tokens, attention, decode) {
    const context = new Context(this.engine.wasm, this.engine.model, this.engine.config, {
      capacity: tokens,
      kv: this.engine.kv,
      parent: this.prefix,
    });
    try {
      context.setAttention(attention);
      context.resetStats();
      for (let i = 0; i < tokens; i++) {
        decode(context, this.ids[i], i);
        await nextTurn();
      }
      return context.stats();
    } finally {
      context.release();
    }
  }

  /**
   * Decodes with dense attention, while a look is had at each layer and KV head.
   * @param {number} tokens
   * @param {(step: Step, token: number) => void} look
   */
  async observe(tokens, look) {
    await this.#each(tokens, { mode: 'dense' }, (context, id, i) =>
      decodeChosen(context, id, (step) => {
        look(step, i);
        step.engine({ mode: 'dense' });
      }),
    );
  }

  /** @param {number} tokens */
  async #dense(tokens) {
    if (this.#logits.length >= tokens) return;
    this.#logits = [];
    await this.#each(tokens, { mode: 'dense' }, (context, id) => {
      context.decode(id);
      this.#logits.push(context.logits().slice());
    });
  }

  /**
   * @param {number} tokens
   * @param {EngineAttention | ((step: Step) => void)} attention of the engine, or what gives the output of each layer and KV head
   * @returns {Promise<Quality>}
   */
  async quality(tokens, attention) {
    await this.#dense(tokens);
    const sum = { kl: 0, same: 0, loss: 0 };
    const stats = await this.#each(tokens, typeof attention === 'function' ? { mode: 'dense' } : attention, (context, id, i) => {
      if (typeof attention === 'function') decodeChosen(context, id, attention);
      else context.decode(id);
      const logits = context.logits();
      const { kl, sameTop } = compareDistributions(this.#logits[i], logits);
      sum.kl += kl;
      sum.same += Number(sameTop);
      sum.loss -= logProbability(logits, this.ids[i + 1]);
    });
    return { kl: sum.kl / tokens, top1: sum.same / tokens, perplexity: Math.exp(sum.loss / tokens), stats };
  }
}
