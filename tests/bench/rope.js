/** The engine's RoPE options for peers: all llama.cpp. */
import { badArgument } from '../../web/errors.js';

/**
 * @typedef {object} Rope
 * @property {number} [theta]
 * @property {'none' | 'linear' | 'yarn'} [scaling]
 * @property {number} [factor]
 */

/**
 * @param {import('../../web/cli/engine-options.js').ModelOptions} options
 * @returns {Rope}
 */
export function ropeOf({ ropeTheta: theta, ropeScaling: scaling, ropeFactor: factor }) {
  if (scaling === 'ntk')
    throw badArgument('rope-scaling', 'ntk is not known to llama.cpp: peers need linear or yarn', scaling, 'linear, yarn');
  return { theta, scaling, factor };
}

/** An integer would be taken for one; as f32 this is the number itself. @param {number | undefined} x */
const float = (x) => (x === undefined ? undefined : x * (1 + 2 ** -40));

/** Metadata in place of the file's, below its architecture. @param {Rope} rope */
export const ropeMetadata = ({ theta, scaling, factor }) => ({
  rope: {
    ...(theta !== undefined && { freq_base: float(theta) }),
    ...((scaling !== undefined || factor !== undefined) && {
      scaling: { ...(scaling && { type: scaling }), ...(factor !== undefined && { factor: float(factor) }) },
    }),
  },
});

/** Parameters of wllama's loadModel(). @param {Rope} rope */
export const ropeParameters = ({ theta, scaling, factor }) => ({
  ...(theta !== undefined && { rope_freq_base: theta }),
  ...(scaling && { rope_scaling_type: `LLAMA_ROPE_SCALING_TYPE_${scaling.toUpperCase()}` }),
  ...(factor !== undefined && { rope_freq_scale: 1 / factor }),
});

/** What reports say of it; empty where the file's own is taken. @param {Rope} rope */
export const ropeText = ({ theta, scaling, factor }) =>
  [theta !== undefined && `RoPE base ${theta}`, (scaling || factor !== undefined) && `RoPE ${scaling ?? 'scaling'} ${factor ?? ''}`.trim()]
    .filter(Boolean)
    .map((text) => `, ${text}`)
    .join('');
