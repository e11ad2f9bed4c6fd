/** Attention inside the model over keys that JavaScript chooses, or by the engine: build/evidence.*.wasm (choose.c). */
import { attentionParams, attentionStats, statsWords } from '../../web/attention/params.js';
import { HalfspaceError } from '../../web/errors.js';

/**
 * @typedef {import('../../web/generation/context.js').Context} Context
 * @typedef {import('../../web/attention/params.js').EngineAttention} EngineAttention
 *
 * @typedef {object} Selection keys that a query head attends to
 * @property {ArrayLike<number>} positions each once
 * @property {ArrayLike<number>} [logWeights] what is added to their logits; default nothing
 */

/** What `choose` of an instance calls, by its memory. @type {WeakMap<WebAssembly.Memory, () => void>} */
const answers = new WeakMap();

const { instantiate } = WebAssembly;
/** The builds import one function more than the shipped ones, which the loader knows nothing of. */
function instantiateChosen(/** @type {WebAssembly.Module} */ module, /** @type {any} */ imports) {
  const chosen = module instanceof WebAssembly.Module && WebAssembly.Module.imports(module).some(({ name }) => name === 'choose');
  if (!chosen) return instantiate(module, imports);
  const { memory } = imports.env;
  return instantiate(module, { env: { ...imports.env, choose: () => answers.get(memory)?.() } });
}

/** Options of Engine.load(). */
export function evidenceBuild() {
  WebAssembly.instantiate = /** @type {any} */ (instantiateChosen);
  const built = (/** @type {string} */ name) => new URL(`../../build/evidence.${name}.wasm`, import.meta.url);
  return { wasm: { simd: built('simd'), relaxed: built('relaxed') } };
}

/** One KV head's step, whose output the last of attend() and engine() of each query head gives. */
export class Step {
  /** @param {Context} context @param {number} index of the KV head among all of the model */
  constructor(context, index) {
    const { wasm, shape } = context;
    this.wasm = wasm;
    this.index = index;
    this.layer = Math.floor(index / shape.kvHeads);
    this.kvHead = index % shape.kvHeads;
    const at = wasm.exports.hs_choose_step() >>> 0;
    this.words = new Uint32Array(wasm.memory.buffer, at, 9).slice();
    this.n = this.words[6];
    this.group = this.words[7];
    this.headDim = this.words[8];
    /** Logit = scale * <query, key>. */
    this.scale = new Float32Array(wasm.memory.buffer, at + 36, 1)[0];
  }

  /** @param {number} g query head of the group @returns {Float32Array} a view, of the memory */
  query(g) {
    return this.wasm.floats(this.words[0] + 4 * g * this.headDim, this.headDim);
  }

  /** Of all positions in order. @param {number} g @returns {Float32Array} a view */
  logits(g) {
    return this.wasm.floats(this.words[2] + 4 * g * this.words[5], this.n);
  }

  /** @param {number} g @returns {Float32Array} a view */
  output(g) {
    return this.wasm.floats(this.words[1] + 4 * g * this.headDim, this.headDim);
  }

  /** Keys as stored, of positions from..from+n-1. @param {number} from @param {number} n */
  keys(from, n) {
    const rows = this.wasm.alloc(4 * n * this.headDim, 'keys');
    try {
      this.wasm.exports.hs_choose_keys(from, n, rows);
      return this.wasm.floats(rows, n * this.headDim).slice();
    } finally {
      this.wasm.exports.hs_free(rows);
    }
  }

  /**
   * Query head g attends to these keys.
   * @param {number} g
   * @param {Selection} selection
   * @returns {Float32Array} its output, a view
   */
  attend(g, { positions, logWeights }) {
    const n = positions.length;
    new Int32Array(this.wasm.memory.buffer, this.words[3], n).set(positions);
    const weights = this.wasm.floats(this.words[4], n);
    if (logWeights) weights.set(logWeights);
    else weights.fill(0);
    this.wasm.exports.hs_choose_attend(g, n);
    return this.output(g);
  }

  /** All query heads of the group attend as the engine does. @param {EngineAttention} attention @returns its statistics */
  engine(attention) {
    const [{ words }] = attentionParams(attention);
    const params = this.wasm.alloc(words.length, 'parameters');
    try {
      this.wasm.bytes(params, words.length).set(words);
      return attentionStats(statsWords(this.wasm.memory.buffer, this.wasm.exports.hs_choose_engine(params) >>> 0));
    } finally {
      this.wasm.exports.hs_free(params);
    }
  }
}

/**
 * Decodes a token; for each layer and KV head in turn `attend` gives the output. What it throws ends the step in its middle: the
 * context is of no more use then.
 * @param {Context} context of an engine of evidenceBuild(), without sliding windows and with one thread
 * @param {number} id
 * @param {(step: Step) => void} attend
 */
export function decodeChosen(context, id, attend) {
  const { wasm, shape } = context;
  const heads = shape.layers * shape.kvHeads;
  let steps = 0;
  answers.set(wasm.memory, () => attend(new Step(context, steps++)));
  wasm.check(wasm.exports.hs_choose_begin(context.length + 1), 'chosen keys');
  try {
    context.decode(id);
  } finally {
    wasm.exports.hs_choose_begin(0);
    answers.delete(wasm.memory);
  }
  if (steps !== heads) {
    const limit = 'models without sliding windows';
    throw new HalfspaceError('unsupported', `${heads - steps} heads do not see all keys`, { field: 'model', value: steps, limit });
  }
}
