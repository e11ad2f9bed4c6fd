/** Options of commands that run a model, and what they are to the engine. In any runtime. */

/**
 * @typedef {object} ModelOptions
 * @property {string} model
 * @property {number} [ctx]
 * @property {'q8' | 'f32'} [kv]
 * @property {'auto' | 'relaxed' | 'simd'} [variant]
 * @property {number | 'auto'} [threads]
 * @property {number} [ropeTheta]
 * @property {'none' | 'linear' | 'ntk' | 'yarn'} [ropeScaling]
 * @property {number} [ropeFactor]
 * @property {boolean} [json]
 * @property {import('../engine.js').EngineOptions['wasm']} [wasm] other builds than the shipped ones
 */

/**
 * @param {ModelOptions} options
 * @returns {import('../engine.js').EngineOptions}
 */
export const engineOptions = ({ ctx, kv, variant, threads, ropeTheta, ropeScaling, ropeFactor, wasm }) => ({
  ctx,
  kv,
  variant,
  threads,
  rope: { theta: ropeTheta, scaling: ropeScaling, factor: ropeFactor },
  wasm,
});
