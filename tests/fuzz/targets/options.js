/** Options of any types and values: samplers, attention of the engine and of caches, generations. */
import fc from 'fast-check';

import { attend, HsrIndex, KvCache } from '../../../web/attention.js';
import { attentionParams } from '../../../web/attention/params.js';
import { Engine } from '../../../web/engine.js';
import { createSampler } from '../../../web/generation/sampler.js';
import { models } from '../models.js';
import { anyValue, limitNumber } from '../mutate.js';
import { worksOrRefuses } from '../oracle.js';

const number = fc.oneof(anyValue, limitNumber.map(Number), fc.double({ min: -1, max: 2 }));
/** @param {Record<string, fc.Arbitrary<any>>} likely values by name, that others take the place of now and then */
const options = (likely) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.record(Object.fromEntries(Object.entries(likely).map(([name, value]) => [name, fc.oneof({ weight: 2, arbitrary: value }, anyValue)])), { requiredKeys: [] }) }, // prettier-ignore
    anyValue,
  );
const names = (/** @type {string[]} */ ...list) => fc.constantFrom(...list);

const ATTENTION = {
  mode: names('dense', 'hsr', 'relu'),
  strength: names('fast', 'certified', 'exact'),
  farField: names('first', 'second'),
  prefill: names('exact', 'hsr'),
  epsOf: names('value', 'output'),
  ...Object.fromEntries(
    ['r', 'topP', 'eps', 'theta', 'leafTheta', 'valueTheta', 'denseBelow', 'denseAbove', 'alpha', 'b'].map((name) => [name, number]),
  ),
};
const VIEW = Object.fromEntries(['n', 'end', 'window', 'sinks', 'scale', 'softcap', 'causal', 'reported'].map((name) => [name, number]));
const SAMPLER = Object.fromEntries(
  ['temperature', 'topK', 'topP', 'minP', 'repetitionPenalty', 'repetitionWindow', 'seed'].map((name) => [name, number]),
);
const rows = fc.oneof(anyValue, fc.array(fc.double(), { maxLength: 80 }).map((list) => Float32Array.from(list)), fc.float32Array({ minLength: 32, maxLength: 32 })); // prettier-ignore
const logits = fc.float32Array({ minLength: 1, maxLength: 40 });
const heads = fc.array(options({ ...ATTENTION, layer: number, kvHead: number }), { maxLength: 2 });

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const engine = await Engine.load(models[0], { variant: 'simd' });
  const cache = await KvCache.create({ headDim: 16, kvHeads: 2 });
  cache.append({ keys: new Float32Array(32 * 64).fill(0.1), values: new Float32Array(32 * 64).fill(0.2) });
  const index = await HsrIndex.create({ headDim: 16, keys: new Float32Array(16 * 64).fill(0.1) });
  const generate = async (/** @type {any} */ prompt, /** @type {any} */ given) => {
    for await (const _piece of engine.generate(prompt, given));
  };
  return {
    arbitrary: fc.record({
      sampler: options(SAMPLER),
      attention: options({ ...ATTENTION, heads }),
      view: options({ ...ATTENTION, ...VIEW }),
      generation: options({ sampler: options(SAMPLER), attention: options({ ...ATTENTION, heads }), stop: fc.array(anyValue, { maxLength: 3 }), watch: options({ layer: number, kvHead: number, room: number }), ctx: number }), // prettier-ignore
      steps: fc.oneof(fc.nat(3), anyValue),
      prompt: fc.oneof(
        fc.array(fc.oneof(fc.nat(287), number), { maxLength: 6 }),
        fc.string({ maxLength: 9 }),
        anyValue,
        fc.array(fc.record({ role: anyValue, content: anyValue }), { maxLength: 2 }),
      ),
      rows,
      logits,
      recent: fc.array(number, { maxLength: 6 }),
    }),
    async run({ sampler, attention, view, generation, steps, prompt, rows: queries, logits: scores, recent }) {
      await worksOrRefuses(() => createSampler(sampler).sample(scores, recent));
      await worksOrRefuses(() => attentionParams(attention));
      await worksOrRefuses(() => attend(cache, queries, view));
      await worksOrRefuses(() => cache.append({ keys: queries, values: queries }));
      await worksOrRefuses(() => index.report(queries, view?.b));
      await worksOrRefuses(() => index.top(queries, view?.n));
      await worksOrRefuses(() => cache.truncate(64));
      const given = typeof generation === 'object' && generation !== null ? { ...generation, maxTokens: steps } : generation;
      await worksOrRefuses(() => generate(prompt, given));
      await worksOrRefuses(() => engine.detokenize(recent));
    },
    async good() {
      await generate([5, 6, 7], { maxTokens: 2 });
      attend(cache, new Float32Array(32).fill(0.5));
      if (cache.length !== 64) throw new Error(`the cache has ${cache.length} rows`);
    },
    close: async () => engine.close(),
  };
}
