/** Checks attention options and lays them out for hs_attention_set() (wasm/abi.c). */
import { HalfspaceError } from './errors.js';

const WORDS = 16;

/**
 * @typedef {object} AttentionOptions
 * @property {'dense' | 'hsr'} [mode] default hsr
 * @property {number} [theta] a key is evaluated exactly when its estimated share of the softmax mass reaches this, 0..1
 * @property {number} [valueTheta] a screened key gives its own value its estimated weight when that share reaches this, 0..1
 * @property {number} [leafTheta] a leaf of 16 keys is screened when its share may reach this, 0..1
 * @property {boolean} [farField] keys that are not reported act through their leaf's mean value; default true
 * @property {number} [denseBelow] contexts shorter than this many tokens are dense
 */

/**
 * @param {AttentionOptions | 'dense' | 'hsr'} [options]
 * @returns {{mode: 'dense' | 'hsr', words: Uint8Array}}
 */
export function attentionParams(options = {}) {
  const {
    mode = 'hsr',
    theta = 0,
    leafTheta = 0,
    valueTheta = 0,
    farField = true,
    denseBelow = 0,
  } = typeof options === 'string' ? { mode: options } : options;
  if (mode !== 'dense' && mode !== 'hsr')
    throw new HalfspaceError('bad-argument', `attention mode must be dense or hsr, not ${mode}`, {
      field: 'attention.mode',
      value: mode,
      limit: 'dense, hsr',
    });
  for (const [field, value] of Object.entries({ theta, leafTheta, valueTheta })) {
    if (!(value >= 0 && value <= 1))
      throw new HalfspaceError('bad-argument', `attention.${field} must be between 0 and 1`, {
        field: `attention.${field}`,
        value,
        limit: 1,
      });
  }
  if (!(Number.isInteger(denseBelow) && denseBelow >= 0))
    throw new HalfspaceError('bad-argument', 'attention.denseBelow must be a count of tokens', {
      field: 'attention.denseBelow',
      value: denseBelow,
      limit: 0,
    });
  const view = new DataView(new ArrayBuffer(WORDS * 4));
  view.setInt32(0, mode === 'hsr' ? 1 : 0, true);
  view.setFloat32(4, theta, true);
  view.setFloat32(8, leafTheta, true);
  view.setInt32(12, farField ? 1 : 0, true);
  view.setInt32(16, denseBelow, true);
  view.setFloat32(20, valueTheta, true);
  return { mode, words: new Uint8Array(view.buffer) };
}
