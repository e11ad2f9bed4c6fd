/** Logits of what comes after a prefix. */
import { Context } from '../../../web/generation/context.js';

/**
 * Two tokens after a prefix, one read and one decoded. Runs in any runtime.
 * @param {import('../../../web/engine.js').Engine} engine
 * @param {import('../../../web/engine.js').Prefix} prefix
 * @param {import('../../../web/engine.js').Attention} attention
 * @returns {Promise<Float32Array<ArrayBuffer>>} [vocab]
 */
export async function logitsAfter(engine, prefix, attention) {
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: 2, kv: engine.kv, parent: prefix.context });
  try {
    context.setAttention(attention);
    await context.prefill([5], { logits: 'none' });
    context.decode(9);
    return context.logits().slice();
  } finally {
    context.release();
  }
}

/** The same as bits, in hex. @type {(...args: Parameters<typeof logitsAfter>) => Promise<string>} */
export const logitsOf = async (...args) => Buffer.from((await logitsAfter(...args)).buffer).toString('hex');
