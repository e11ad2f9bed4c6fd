/** Checks attention options, lays them out for the core, and reads its statistics (src/attention/attention.h). */
import { checkInteger, checkName, checkOptions, shown } from '../checks.js';
import { badArgument } from '../errors.js';

const MODES = { dense: 0, hsr: 1, relu: 2 };
const STRENGTHS = { fast: 0, certified: 1, exact: 2 };
const FAR_FIELDS = { first: 1, second: 2 };
const PREFILL = { exact: 0, hsr: 1 };
const EPS_OF = { value: 0, output: 1 };

/** Ways to pick keys, of which one may be given. */
const PICKS = /** @type {const} */ (['r', 'topP', 'eps', 'theta']);

/** The words of hs_attention_params in their order: integers, and f32 numbers. */
const LAYOUT = /** @type {const} */ ({
  mode: 'int',
  strength: 'int',
  farField: 'int',
  r: 'int',
  topP: 'float',
  eps: 'float',
  theta: 'float',
  leafTheta: 'float',
  valueTheta: 'float',
  denseBelow: 'int',
  prefill: 'int',
  alpha: 'int',
  b: 'float',
  end: 'int',
  window: 'int',
  sinks: 'int',
  causal: 'int',
  scale: 'float',
  softcap: 'float',
  epsOf: 'int',
  denseAbove: 'float',
});

/** Ranges of numbers; with `above` the least one is not allowed itself. Left out, each has its default. */
const RANGES = {
  r: { least: 1, most: 2 ** 24 },
  topP: { least: 0, most: 1, above: true },
  eps: { least: 1e-4, most: 1 },
  theta: { least: 0, most: 1, above: true },
  leafTheta: { least: 0, most: 1, above: true },
  valueTheta: { least: 0, most: 1, above: true },
  denseBelow: { least: 0, most: 2 ** 24 },
  denseAbove: { least: 0, most: 1, above: true },
  alpha: { least: 1, most: 8 },
  b: { least: -3e38, most: 3e38 },
  end: { least: 1, most: 2 ** 24 },
  window: { least: 0, most: 2 ** 24 },
  sinks: { least: 0, most: 2 ** 24 },
  scale: { least: -1e15, most: 1e15 },
  softcap: { least: 0, most: 1e15 },
};

/**
 * @typedef {'dense' | 'hsr' | 'relu'} Mode
 *
 * @typedef {object} AttentionOptions shares are of a query's softmax mass. Of r, topP, eps and theta give at most one.
 * @property {Mode} [mode] dense: softmax over every key. hsr (default): softmax attention in which half-space reporting picks
 *   the keys that are evaluated. relu: weight max(0, logit - b)^alpha, no error.
 * @property {'fast' | 'certified' | 'exact'} [strength] of hsr. fast (default): keys by estimated shares, with an estimate of
 *   the error. certified: as many keys as it takes to bound the error; the bound holds. exact: the keys of the largest
 *   logits, found for sure.
 * @property {number} [r] hsr: keys per query, the ones of the largest logits; default for exact n^(4/5) of n keys
 * @property {number} [topP] hsr: the fewest keys that hold this share, 0..1
 * @property {number} [eps] certified: bound on |error of the output| over what epsOf says, 0.0001..1, default 0.1; fast and exact:
 *   the same as topP 1 - eps
 * @property {'value' | 'output'} [epsOf] certified: what eps is relative to, the longest value of the cache (default, as in the
 *   paper's bounds) or the output's own length, which is stricter
 * @property {number} [theta] fast: a key is evaluated exactly from this estimated share on, 0..1, default 0.001
 * @property {number} [leafTheta] fast: a leaf of 16 keys is looked into that may hold this share, 0..1, default 0.002
 * @property {number} [valueTheta] fast: a key that is not evaluated gives its own value its estimated weight from this
 *   estimated share on, 0..1, default 0.0001
 * @property {boolean | 'first' | 'second'} [farField] hsr: keys that are not evaluated act through their leaf's mean value;
 *   second order: the spread of a leaf's keys counts, first order: their centroid alone. Default second (true), exact: false
 * @property {number} [denseBelow] hsr: contexts of fewer keys are dense, default 2048
 * @property {number} [denseAbove] fast: dense where more than this share of the leaves would be opened, default 0.85; 1: never
 * @property {'exact' | 'hsr'} [prefill] hsr, fast: how a block of queries, such as a prompt, is computed: by Algorithm 2 of the
 *   paper (arXiv 2410.10165), the default, or exactly
 * @property {number} [alpha] relu: power, 1 (default) to 8
 * @property {number} [b] relu: threshold in logits, default 0; see reluThreshold()
 *
 * @typedef {AttentionOptions & {layer?: number, kvHead?: number}} HeadOptions where the engine is to attend otherwise: in a
 *   layer, in a KV head of every layer, or in one of both; what is not given is as everywhere
 * @typedef {AttentionOptions & {heads?: HeadOptions[]}} EngineAttention heads: later entries win
 *
 * @typedef {object} AttentionStats sums over queries, and heads and layers where there are several. Dense and fast count a key
 *   once for all query heads that share its KV head; relu, certified and exact take these one by one and count it for each.
 * @property {number} keysVisible keys that were to be attended to
 * @property {number} keysScreened keys whose 4-bit product was computed
 * @property {number} keysRefined keys whose 8-bit (or f32) product was read because 4 bits did not decide
 * @property {number} keysExact keys with exact weight and value
 * @property {number} keysValued keys that gave their own value an estimated weight
 * @property {number} leavesTotal leaves of 16 keys that there were
 * @property {number} leavesOpened of them, those whose keys were screened
 * @property {number} exactFraction keysExact / keysVisible
 * @property {number} valuedFraction keysValued / keysVisible
 * @property {number} queries query heads
 * @property {number} massExact mean share of the mass that was evaluated exactly
 * @property {number} dense query heads that hsr computed densely because that was cheaper
 * @property {number} errorMean of query heads, |error of the output|: certified and exact: a bound; fast: an estimate; else 0
 * @property {number} errorMax the largest of them
 * @property {number} errorRelativeMean mean of them / the output's length
 * @property {number} valueNorm length of the longest value that was met; eps is relative to it by default
 */

/**
 * @param {string} field
 * @param {keyof typeof RANGES} name
 * @param {unknown} value
 */
function number(field, name, value) {
  const { least, most, above = false } = /** @type {{least: number, most: number, above?: boolean}} */ (RANGES[name]);
  const integer = LAYOUT[name] === 'int';
  const given = typeof value === 'number' ? value : NaN;
  const x = integer ? given : Math.fround(given);
  const enough = given >= least && !(above && x === least);
  if (!enough || given > most || (integer && !Number.isInteger(x))) {
    const range = `${above ? 'above' : 'from'} ${least} to ${most}`;
    throw badArgument(
      field,
      `must be ${integer ? 'an integer' : 'a number'} ${range}, not ${shown(value)}`,
      value,
      given > most ? most : least,
    );
  }
  return x;
}

/**
 * Checks numbers that are given and leaves out those that are not.
 * @template {keyof typeof RANGES} K
 * @param {Partial<Record<K, unknown>>} options
 * @param {K[]} names
 * @param {string} [path] of the options, in errors
 * @returns {Partial<Record<K, number>>}
 */
export function attentionNumbers(options, names, path = '') {
  /** @type {Partial<Record<K, number>>} */
  const values = {};
  for (const name of names) if (options[name] !== undefined) values[name] = number(path + name, name, options[name]);
  return values;
}

/**
 * Checks options.
 * @param {AttentionOptions} options
 * @param {string} [path] of the options, in errors
 * @returns {Partial<Record<keyof typeof LAYOUT, number>>}
 */
export function attentionValues(options, path = '') {
  const { mode = 'hsr', strength = 'fast', farField = strength !== 'exact' } = options;
  const values = {
    mode: checkName(`${path}mode`, mode, MODES),
    strength: checkName(`${path}strength`, strength, STRENGTHS),
    farField: farField === false ? 0 : checkName(`${path}farField`, farField === true ? 'second' : farField, FAR_FIELDS),
    prefill: checkName(`${path}prefill`, options.prefill ?? 'hsr', PREFILL),
    epsOf: checkName(`${path}epsOf`, options.epsOf ?? 'value', EPS_OF),
    alpha: 1,
    ...attentionNumbers(options, ['r', 'topP', 'eps', 'theta', 'leafTheta', 'valueTheta', 'denseBelow', 'denseAbove', 'alpha', 'b'], path),
  };
  const picks = PICKS.filter((name) => options[name] !== undefined);
  if (picks.length > 1)
    throw badArgument(path + picks[1], `cannot be given with ${picks[0]}`, options[picks[1]], `one of ${picks.join(', ')}`);
  if (options.theta !== undefined && strength !== 'fast')
    throw badArgument(`${path}theta`, `is for strength fast, not ${strength}`, options.theta, 'fast');
  if (options.denseBelow === 0) values.denseBelow = 1; // 0 is the default inside the core
  return values;
}

/**
 * The words of hs_attention_params.
 * @param {Partial<Record<keyof typeof LAYOUT, number>>} values 0 where left out
 */
export function attentionWords(values) {
  const names = /** @type {(keyof typeof LAYOUT)[]} */ (Object.keys(LAYOUT));
  const view = new DataView(new ArrayBuffer(4 * names.length));
  names.forEach((name, i) => {
    if (LAYOUT[name] === 'int') view.setInt32(4 * i, values[name] ?? 0, true);
    else view.setFloat32(4 * i, values[name] ?? 0, true);
  });
  return new Uint8Array(view.buffer);
}

/**
 * Options of the engine as calls of hs_attention_set() (wasm/abi.c), which fills in scale, window, softcap and causal.
 * @param {EngineAttention | Mode} [options]
 * @param {{layers: number, kvHeads: number}} [shape] of the model
 * @returns {{layer: number, kvHead: number, words: Uint8Array}[]} -1: every layer, every KV head
 */
export function attentionParams(options = {}, { layers, kvHeads } = { layers: 2 ** 24, kvHeads: 2 ** 24 }) {
  const given = typeof options === 'string' ? { mode: options } : checkOptions('attention', options);
  const { heads = [], ...everywhere } = given;
  const wordsOf = (/** @type {AttentionOptions} */ own, /** @type {string} */ path) =>
    attentionWords({ ...attentionValues(own, path), scale: 1 });
  const all = { layer: -1, kvHead: -1, words: wordsOf(everywhere, 'attention.') };
  if (!Array.isArray(heads)) throw badArgument('attention.heads', `must be an array, not ${shown(heads)}`, heads, 'array');
  const sets = heads.map((head, i) => {
    const { layer = -1, kvHead = -1, ...own } = checkOptions(`attention.heads[${i}]`, head);
    const path = `attention.heads[${i}].`;
    checkInteger(`${path}layer`, layer, -1, layers - 1);
    checkInteger(`${path}kvHead`, kvHead, -1, kvHeads - 1);
    return { layer, kvHead, words: wordsOf(inherit(everywhere, own), path) };
  });
  return [all, ...sets];
}

/**
 * A head's own way of picking keys (r, topP, eps, theta) replaces the one given everywhere.
 * @param {AttentionOptions} everywhere
 * @param {AttentionOptions} own
 */
function inherit(everywhere, own) {
  const merged = { ...everywhere, ...own };
  if (PICKS.some((name) => own[name] !== undefined)) for (const name of PICKS) merged[name] = own[name];
  return merged;
}

const STATS_WORDS = 14;
const ERROR_MAX = 10;
const VALUE_NORM = 12;

/**
 * @param {ArrayBuffer} memory
 * @param {number} pointer to hs_attention_stats
 * @returns {Float64Array} a copy
 */
export function statsWords(memory, pointer) {
  return new Float64Array(memory, pointer, STATS_WORDS).slice();
}

/** Sums, and the larger of the two maxima. @param {Float64Array} a @param {Float64Array} b */
export function addStatsWords(a, b) {
  return a.map((x, i) => (i === ERROR_MAX || i === VALUE_NORM ? Math.max(x, b[i]) : x + b[i]));
}

/**
 * @param {Float64Array} [words] default none: no query
 * @returns {AttentionStats}
 */
export function attentionStats(words = new Float64Array(STATS_WORDS)) {
  const [keysVisible, keysScreened, keysExact, leavesTotal, leavesOpened, mass, queries, keysValued, keysRefined] = words;
  const [error, errorMax, errorRelative, valueNorm, dense] = words.subarray(9);
  return {
    keysVisible,
    keysScreened,
    keysRefined,
    keysExact,
    keysValued,
    leavesTotal,
    leavesOpened,
    exactFraction: keysVisible > 0 ? keysExact / keysVisible : 1,
    valuedFraction: keysVisible > 0 ? keysValued / keysVisible : 0,
    queries,
    massExact: queries > 0 ? mass / queries : 1,
    dense,
    errorMean: queries > 0 ? error / queries : 0,
    errorMax,
    errorRelativeMean: queries > 0 ? errorRelative / queries : 0,
    valueNorm,
  };
}
