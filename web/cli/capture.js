/** Keys, values and queries of a model at work on a text, for benches of attention alone. */
import { checkInteger } from '../checks.js';
import { badArgument } from '../errors.js';
import { Context } from '../generation/context.js';
import { loadEngine, progress, readText } from './common.js';

/**
 * @typedef {import('./common.js').ModelOptions & {file?: string, ctx: number}} CaptureOptions ctx: tokens whose keys are taken
 *
 * @typedef {object} CapturedHead one KV head, and the query heads that share it
 * @property {number} layer
 * @property {number} kvHead
 * @property {number} headDim
 * @property {Float32Array} keys [ctx][headDim], after RoPE, as f32
 * @property {Float32Array} values [ctx][headDim]
 * @property {Float32Array[]} queries [group][headDim] of each token that follows, decoded with dense attention
 *
 * @typedef {object} Capture
 * @property {string} model
 * @property {'relaxed' | 'simd'} variant
 * @property {CapturedHead[][]} layers [layers][kvHeads]
 */

/**
 * Whether there is a model to take keys from.
 * @param {{model?: string, file?: string}} options
 */
export function hasModel({ model, file }) {
  if ((model === undefined) !== (file === undefined))
    throw badArgument(model === undefined ? 'model' : 'file', 'is missing: model and file belong together', undefined, 'both or none');
  return model !== undefined;
}

/**
 * Prefills ctx tokens exactly into a cache of f32, decodes the `steps` that follow, and gives the model's memory back.
 * @param {CaptureOptions} options
 * @param {{layers?: number[], steps: number}} what layers: default all
 * @returns {Promise<Capture>}
 */
export async function capture(options, { layers, steps }) {
  const text = await readText(/** @type {string} */ (options.file));
  const engine = await loadEngine({ ...options, kv: 'f32' });
  try {
    const { ctx } = options;
    const ids = engine.tokenize(text);
    const needed = checkInteger('ctx', ctx, 1, 2 ** 20) + steps;
    if (ids.length < needed) throw badArgument('file', `has ${ids.length} tokens, ${needed} are needed`, ids.length, needed);
    const taken = layers ?? Array.from({ length: engine.config.nLayers }, (_, layer) => layer);
    taken.forEach((layer) => checkInteger('layer', layer, 0, engine.config.nLayers - 1));
    const context = new Context(engine.wasm, engine.model, engine.config, { capacity: needed, kv: engine.kv });
    context.setAttention('dense');
    const bar = progress('prefill', 'tokens');
    await context.prefill(ids.slice(0, ctx), { logits: 'none', onBatch: bar.update });
    bar.stop();
    context.watch({ room: 1 }); // for the queries, not the keys
    const queries = ids.slice(ctx, needed).map((id) => {
      context.decode(id);
      return context.queries();
    });
    return {
      model: engine.info.name,
      variant: engine.info.variant,
      layers: taken.map((layer) => capturedHeads(context, layer, ctx, queries)),
    };
  } finally {
    engine.close();
  }
}

/**
 * @param {Context} context
 * @param {number} layer
 * @param {number} ctx
 * @param {Float32Array[]} queries [layers][heads][headDim] of each step
 * @returns {CapturedHead[]}
 */
function capturedHeads(context, layer, ctx, queries) {
  const { kvHeads, group, headDim } = context.shape;
  const width = group * headDim;
  return Array.from({ length: kvHeads }, (_, kvHead) => {
    const at = (layer * kvHeads + kvHead) * width;
    return { layer, kvHead, headDim, ...context.rows(layer, kvHead, 0, ctx), queries: queries.map((q) => q.slice(at, at + width)) };
  });
}
