/** Keys, values and queries of a few layers of the model at work on the text, taken once for all sections of a run. */
import { openSource } from '../../web/bytes/sources.js';
import { continued } from '../../web/cli/bench/keys.js';
import { capture } from '../../web/cli/capture.js';
import { modelConfig } from '../../web/model/config.js';
import { readGguf } from '../../web/model/gguf.js';

/**
 * @typedef {import('../../web/cli/capture.js').CapturedHead} CapturedHead
 * @typedef {{tokens: number, layers: number, steps: number}} Amount tokens whose keys are taken; layers, evenly spread; queries
 *   that follow
 * @typedef {{model: string, tokens: number, modelLayers: number, kvHeads: number, layers: CapturedHead[][]}} Captured layers: [layers][kvHeads]
 */

const FULL = { tokens: 8000, layers: 5, steps: 8 };
const QUICK = { tokens: 1024, layers: 3, steps: 4 };

/** @type {Map<string, Promise<Captured>>} */
const taken = new Map();

/**
 * @param {import('./section.js').Setting} setting
 * @param {Amount} [amount]
 * @returns {Promise<Captured>}
 */
export function captured(setting, amount = setting.quick ? QUICK : FULL) {
  const name = JSON.stringify([setting.model, setting.file, setting.variant, amount]);
  const known = taken.get(name);
  if (known) return known;
  setting.log(`keys of ${amount.tokens} tokens`);
  const made = take(setting, amount);
  taken.set(name, made);
  made.catch(() => taken.delete(name));
  return made;
}

/** @param {import('./section.js').Setting} setting @param {Amount} amount @returns {Promise<Captured>} */
async function take({ model, file, variant }, { tokens, layers, steps }) {
  const { nLayers, nKvHeads } = await configOf(model);
  const spread = Array.from({ length: layers }, (_, i) => Math.round((i * (nLayers - 1)) / Math.max(1, layers - 1)));
  const found = await capture({ model, file, variant, ctx: tokens }, { layers: [...new Set(spread)], steps });
  return { model: found.model, tokens, modelLayers: nLayers, kvHeads: nKvHeads, layers: found.layers };
}

/** @param {string} model */
async function configOf(model) {
  const source = await openSource(model);
  try {
    return modelConfig(await readGguf(source));
  } finally {
    await source.close();
  }
}

/** What readers are told. @param {Captured} from */
export const captureText = ({ model, tokens, layers }) =>
  `${model}, layers ${layers.map(([{ layer }]) => layer).join(', ')}, ${tokens} tokens of the text and the queries of ${layers[0][0].queries.length} that follow`;

/** The first KV head of each layer, of any length. @param {Captured} from @returns {import('../../web/cli/bench/keys.js').Source[]} */
export const firstHeads = ({ layers }) => layers.map(([head]) => continued(`layer ${head.layer}`, [head]));
