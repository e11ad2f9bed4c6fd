/** Logits of what comes after a prefix. */
import { Context } from '../../../web/context.js';

/**
 * Two tokens after a prefix, one read and one decoded.
 * @param {import('../../../web/engine.js').Engine} engine
 * @param {import('../../../web/engine.js').Prefix} prefix
 * @param {import('../../../web/engine.js').Attention} attention
 * @returns {Promise<string>} the bits of f32[vocab], in hex
 */
export async function logitsOf(engine, prefix, attention) {
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: 2, kv: engine.kv, parent: prefix.context });
  try {
    context.setAttention(attention);
    await context.prefill([5], { logits: 'none' });
    context.decode(9);
    return Buffer.from(context.logits().slice().buffer).toString('hex');
  } finally {
    context.release();
  }
}
