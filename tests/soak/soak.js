/**
 * Hours of everything at once, with random faults: results stay those of a fresh engine, and memory stays flat. A seed decides what is
 * done; what is done side by side is not decided by it.
 */
import assert from 'node:assert/strict';

import { coreOf } from '../../web/attention/core.js';
import { Engine, HalfspaceError } from '../../web/index.js';
import { seededRandom } from '../node/helpers/random.js';
import { FAULTS, SCRIPTS } from './scripts.js';

const MB = 2 ** 20;
const SEEDS = 6;
const SAMPLE_MS = 1000;
const FAULT_SHARE = 0.4;
/** Of the steps; scratch, caches of results, of compiled code and of the garbage collector fill up meanwhile. */
const WARM_UP = 0.4;
/** Least-squares slopes of what the engines hold, of what their memories have grown to, and of the process, in bytes a minute. */
const BOUNDS = { used: 1, grown: 65_536, rss: MB };
/** A shorter soak says something of what is held alone: peaks are still to come, and garbage comes and goes. */
const LONG_MINUTES = 8;

/**
 * @typedef {object} SoakOptions
 * @property {number} ms
 * @property {number} [least] steps that are taken, however long they take; default none
 * @property {number} seed
 * @property {string | Uint8Array} model
 * @property {number} [tokens] of a prompt at most, default 400
 * @property {(line: string) => void} [log]
 *
 * @typedef {{step: number, minutes: number, used: number, grown: number, rss: number}} Sample
 */

/** @param {Sample[]} samples @param {keyof typeof BOUNDS} key @returns {number} per minute */
function slope(samples, key) {
  const mean = (/** @type {(sample: Sample) => number} */ of) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [x, y] = [mean((s) => s.minutes), mean((s) => s[key])];
  const spread = mean((s) => (s.minutes - x) ** 2);
  return spread === 0 ? 0 : mean((s) => (s.minutes - x) * (s[key] - y)) / spread;
}

/** Results of fresh engines. @param {Pick<SoakOptions, 'model'> & {tokens: number}} options */
function expectations({ model, tokens }) {
  /** @type {Map<string, string>} */
  const known = new Map();
  return async (/** @type {string} */ name, /** @type {number} */ seed) => {
    const key = `${name} ${seed}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const engine = await Engine.load(model, { ctx: 2 ** 20 });
    const result = JSON.stringify(await SCRIPTS[name]({ engine, wasm: {}, model, threads: 1, tokens }, seed));
    engine.close();
    known.set(key, result);
    return result;
  };
}

/**
 * @param {SoakOptions} options
 * @returns {Promise<{steps: number, compared: number, faults: Record<string, number>, slopes: Record<keyof typeof BOUNDS, number>, bounds: typeof BOUNDS, last: Sample}>}
 * @throws {Error} a result differs, a fault ends otherwise than it should, or memory grows
 */
export async function soak({ ms, least = 0, seed, model, tokens = 400, log = () => {} }) {
  const random = seededRandom(seed);
  const pick = (/** @type {string[]} */ names) => names[Math.floor(random() * names.length)];
  const expected = expectations({ model, tokens });
  const wasm = {};
  /** @type {import('./scripts.js').Stage[]} */
  const stages = [];
  for (const threads of [1, 2]) {
    const engine = await Engine.load(model, { threads, ctx: 2 ** 20, maxMemoryBytes: typeof model === 'string' ? 640 * MB : 64 * MB });
    stages.push({ engine, wasm, model, threads, tokens });
  }
  const { wasm: core } = await coreOf(wasm);
  const memories = [...stages.map(({ engine }) => engine.wasm), core];
  const began = performance.now();
  const minutes = () => (performance.now() - began) / 60_000;
  /** @type {Sample[]} */
  const samples = [];
  /** @type {Record<string, number>} */
  const faults = {};
  let [steps, compared, sampled, told] = [0, 0, -Infinity, 0];

  const script = async (/** @type {import('./scripts.js').Stage} */ stage, /** @type {string} */ name, /** @type {number} */ n) => {
    const [result, wanted] = [JSON.stringify(await SCRIPTS[name](stage, n)), await expected(name, n)];
    assert.equal(result, wanted, `seed ${seed}, step ${steps}: ${name} ${n} with ${stage.threads} threads`);
    compared++;
  };
  const fault = async (/** @type {import('./scripts.js').Stage} */ stage, /** @type {string} */ name) => {
    const { codes, run } = FAULTS[name];
    const error = await run(stage, random).then(
      () => undefined,
      (e) => e,
    );
    const said = error === undefined ? 'none' : error instanceof HalfspaceError ? error.code : String(error);
    assert.ok(error === undefined || codes.includes(said), `seed ${seed}, step ${steps}: ${name} ended in ${error?.stack}`);
    faults[said] = (faults[said] ?? 0) + 1;
  };
  const tell = () => {
    const { used, grown, rss } = samples[samples.length - 1];
    const [held, room, all] = [used, grown, rss].map((bytes) => (bytes / MB).toFixed(2));
    log(
      `${minutes().toFixed(1)} min: ${steps} steps, ${compared} equal, faults ${JSON.stringify(faults)}; MB: ${held} used, ${room} grown, ${all} process`,
    );
  };

  while (performance.now() - began < ms || steps < least) {
    steps++;
    const stage = stages[steps % stages.length];
    if (random() < FAULT_SHARE) await fault(stage, pick(Object.keys(FAULTS)));
    else {
      // One in three shares the engine with another, one of them in the middle of a fault.
      const together = random() < 1 / 3;
      const first = script(stage, pick(Object.keys(SCRIPTS)), Math.floor(random() * SEEDS));
      const second = together ? fault(stage, pick(['abort of a generation', 'abort of a prefill', 'abort of a resume'])) : undefined;
      await Promise.all([first, second]);
    }
    if (performance.now() - sampled < SAMPLE_MS) continue;
    sampled = performance.now();
    globalThis.gc?.();
    const sum = (/** @type {(wasm: import('../../web/core/wasm-loader.js').Wasm) => number} */ of) =>
      memories.reduce((all, one) => all + of(one), 0);
    const used = sum(({ exports }) => exports.hs_memory_used() >>> 0);
    samples.push({
      step: steps,
      minutes: minutes(),
      used,
      grown: sum(({ memory }) => memory.buffer.byteLength),
      rss: process.memoryUsage.rss(),
    });
    if (minutes() >= told + 1) {
      told = Math.floor(minutes());
      tell();
    }
  }
  tell();
  for (const { engine } of stages) engine.close();
  const late = samples.filter(({ step }) => step > WARM_UP * steps);
  assert.ok(late.length >= 3, `${late.length} samples of memory`);
  const slopes = { used: slope(late, 'used'), grown: slope(late, 'grown'), rss: slope(late, 'rss') };
  for (const key of /** @type {const} */ (['used', 'grown', 'rss'])) {
    if (key !== 'used' && ms < LONG_MINUTES * 60_000) continue;
    assert.ok(slopes[key] <= BOUNDS[key], `${key} grows by ${slopes[key]} bytes a minute, ${BOUNDS[key]} may be`);
  }
  return { steps, compared, faults, slopes, bounds: BOUNDS, last: samples[samples.length - 1] };
}
