/** Measures the steps of a query on this machine for the index's cost model (src/hsr/cost.h, hs_index_costs). */
import { elapsedSince } from '../elapsed.js';
import { HalfspaceError } from '../errors.js';
import { STRATEGIES } from './core.js';
import { vectorsOf } from './rows.js';

const KEYS = 16_384;
const HEAD_DIM = 64;
const BATCH_MS = 2; // far above the resolution of clocks in pages
/** Far more than come in that time: the end where the clock stands still, or runs backwards. */
const BATCH_CALLS = 2000;
const BATCHES = 5;

/**
 * @typedef {object} Costs nanoseconds at headDim 64; their ratios count
 * @property {number} leaf per leaf bounded
 * @property {number} screen per key screened
 * @property {number} refineQ8 per key refined, stored as int8
 * @property {number} refineF32 per key refined, stored as f32
 *
 * @typedef {import('./hsr-index.js').HsrIndex} HsrIndex
 */

/** Keys of any kind will do: with no key reported, a step takes the same time for each. */
function anyKeys() {
  const keys = new Float32Array(KEYS * HEAD_DIM);
  for (let i = 0; i < keys.length; i++) keys[i] = Math.sin(i * i);
  return keys;
}

/**
 * @param {HsrIndex} index
 * @param {keyof typeof STRATEGIES} strategy
 * @returns {{ns: number, leaves: number, screened: number, refined: number}} of one query that no key reaches, which does one
 *   kind of work (and screens the few keys that lie in no leaf): the least time of some
 */
function measure({ core, pointer }, strategy) {
  const run = () => core.exports.hs_index_report(pointer, core.first, Infinity, STRATEGIES[strategy], 0, 0, 0);
  let ns = Infinity;
  for (let batch = 0; batch < BATCHES; batch++) {
    const began = performance.now();
    let calls = 0;
    while (calls < BATCH_CALLS && elapsedSince(began) < BATCH_MS) {
      run();
      calls++;
    }
    const ms = elapsedSince(began);
    if (ms > 0 && calls > 0) ns = Math.min(ns, (1e6 * ms) / calls);
  }
  if (ns === Infinity)
    throw new HalfspaceError('unsupported', 'the clock stands still', { field: 'performance.now', value: 0, limit: BATCH_MS });
  const [leaves, screened, refined] = new Float64Array(core.wasm.memory.buffer, core.exports.hs_index_stats() >>> 0, 3);
  return { ns, leaves, screened, refined };
}

/**
 * @param {import('./core.js').Core} core
 * @param {(shape: import('./handle.js').Shape) => HsrIndex} create
 * @returns {Costs}
 */
export function calibrate(core, create) {
  const keys = anyKeys();
  const measured = (/** @type {'q8' | 'f32'} */ type, /** @type {(keyof typeof STRATEGIES)[]} */ strategies) => {
    const index = create({ headDim: HEAD_DIM, type });
    try {
      index.append(keys);
      core.stage(core.first, vectorsOf(keys.subarray(0, HEAD_DIM), HEAD_DIM, 'query'), 0, 1);
      return strategies.map((strategy) => measure(index, strategy));
    } finally {
      index.free();
    }
  };
  const [screening, bounding, refining] = measured('q8', ['screen', 'tree', 'brute']);
  const [refiningF32] = measured('f32', ['brute']);
  const screen = screening.ns / screening.screened;
  const leaf = Math.max(1e-3, (bounding.ns - bounding.screened * screen) / bounding.leaves);
  const costs = { leaf, screen, refineQ8: refining.ns / refining.refined, refineF32: refiningF32.ns / refiningF32.refined };
  core.wasm.check(core.exports.hs_index_costs_set(costs.leaf, costs.screen, costs.refineQ8, costs.refineF32), 'costs');
  return costs;
}
