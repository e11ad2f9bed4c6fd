/** Whether keys that are continued with noise (web/cli/bench/keys.js) cost what a model's own keys do. */
import { continued, SINKS } from '../../web/cli/bench/keys.js';
import { meanRow, measureHead } from '../../web/cli/bench/scaling.js';
import { FORCED } from '../../web/cli/bench/ways.js';

/** What is kept of the captured keys, to be continued to their number again. */
const PART = 1 / 4;

/** @typedef {import('./captured.js').CapturedHead} CapturedHead */

/** The first SINKS keys and the newest ones. @param {CapturedHead} head @returns {CapturedHead} */
function shortened(head) {
  const { headDim } = head;
  const kept = Math.ceil(PART * (head.keys.length / headDim));
  const short = (/** @type {Float32Array} */ rows) => {
    const out = rows.slice(rows.length - kept * headDim);
    out.set(rows.subarray(0, SINKS * headDim));
    return out;
  };
  return { ...head, keys: short(head.keys), values: short(head.values) };
}

/**
 * The same number of keys, all of them the model's, and a part of them continued.
 * @param {import('./captured.js').Captured} from
 * @param {import('../../web/core/wasm-loader.js').LoadOptions} wasm
 */
export async function compareContinued({ tokens, layers }, wasm) {
  /** @type {Record<'own' | 'continued', import('../../web/cli/bench/scaling.js').Row[]>} */
  const rows = { own: [], continued: [] };
  for (const [head] of layers) {
    rows.own.push(await measureHead(continued('', [head]), tokens, wasm, FORCED));
    rows.continued.push(await measureHead(continued('', [shortened(head)]), tokens, wasm, FORCED));
  }
  return { own: meanRow(rows.own), continued: meanRow(rows.continued), kept: Math.ceil(PART * tokens) };
}
