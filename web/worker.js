/** The script of a worker that holds an engine (worker-engine.js): which of its methods can be called from outside, by name. */
import { Engine, Prefix } from './engine.js';
import { serve } from './remote/server.js';
import { stepData } from './remote/steps.js';
import { ownerPort } from './runtime.js';

/** Add a name here and a line to worker-engine.js, and a method is there on both sides. */
const METHODS = /** @type {const} */ (['prefill', 'logits', 'perplexity', 'tokenize', 'detokenize', 'chatTokens']);
const PREFIX_METHODS = /** @type {const} */ (['free']);

/** @type {Engine} */
let engine;

/** @param {any} object @param {readonly string[]} names @returns {import('./remote/server.js').Methods} */
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

serve(ownerPort(), {
  methods: { load, generate, ...methodsOf(() => engine, METHODS) },
  handle: (value) =>
    value instanceof Prefix
      ? { methods: methodsOf(() => value, PREFIX_METHODS), data: { length: value.length, prefillMs: value.prefillMs } }
      : undefined,
  state: () => engine?.info,
});
