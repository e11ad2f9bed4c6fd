/** The script of a worker that holds an engine (worker-engine.js): which of its methods can be called from outside, by name. */
import { Engine, Prefix } from '../engine.js';
import { ownerPort } from '../runtime.js';
import { openPieces } from '../snapshot/pieces.js';
import { serve } from './server.js';
import { stepData } from './steps.js';

/** Add a name here and a line to worker-engine.js, and a method is there on both sides. */
const METHODS = /** @type {const} */ ([
  'prefill',
  'resume',
  'logits',
  'perplexity',
  'compare',
  'tokenize',
  'detokenize',
  'detokenizeEach',
  'chatTokens',
]);

/** @type {Engine} */
let engine;

/** @param {any} object @param {readonly string[]} names @returns {import('./server.js').Methods} */
const methodsOf = (object, names) => Object.fromEntries(names.map((name) => [name, (...args) => object()[name](...args)]));

/** @type {(...args: Parameters<typeof Engine.load>) => Promise<object>} */
async function load(source, options) {
  engine = await Engine.load(source, options);
  const { config, ctx, kv, parameters } = engine;
  return { config, ctx, kv, parameters };
}

/** @type {Engine['generate']} */
async function* generate(prompt, options) {
  const { nLayers: layers, nKvHeads: kvHeads } = engine.config;
  for await (const { step, ...piece } of engine.generate(prompt, options))
    yield { ...piece, ...(step && { step: /** @type {any} */ (stepData(step, { layers, kvHeads })) }) };
}

/** What the other side knows of a prefix. @param {Prefix} prefix */
function prefixData({ length, inherited, ids, prefillMs, saved }) {
  return { length, inherited, ids, prefillMs, saved };
}

/** @param {Prefix} prefix */
const prefixMethods = (prefix) => ({
  free: () => prefix.free(),
  truncate(/** @type {number} */ length) {
    prefix.truncate(length);
    return prefixData(prefix);
  },
  async *snapshot(/** @type {Parameters<Prefix['snapshot']>[0]} */ options) {
    yield* (await openPieces(prefix.snapshot(options))).pieces;
  },
});

serve(ownerPort(), {
  methods: { load, generate, ...methodsOf(() => engine, METHODS) },
  handle: (value) => (value instanceof Prefix ? { methods: prefixMethods(value), data: prefixData(value) } : undefined),
  state: () => engine?.info,
});
