/** Every architecture, RoPE scaling and tensor type against native llama.cpp, on small models of random weights. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Engine } from '../../web/index.js';
import { llamaDistributions, meanDifference, ourDistributions, startLlama } from './helpers/llama.js';
import { randomModel } from './helpers/random-model.js';

/** @type {import('node-llama-cpp').Llama} */
let llama;
before(async () => {
  llama = await startLlama();
});
after(() => llama.dispose());

const LENGTH = 80; // five of Gemma's windows, more than twice YaRN's original context
const YARN = { 'rope.scaling.type': 'yarn', 'rope.scaling.factor': 3.5, 'rope.scaling.original_context_length': 32 };
const ids = Array.from({ length: LENGTH }, (_, i) => (i === 0 ? 1 : 3 + ((i * i * 7 + i * 31) % 285)));

/**
 * @param {Buffer} file for llama.cpp
 * @param {Buffer} [ours] when it is another
 */
async function difference(file, ours = file) {
  const engine = await Engine.load(ours, { kv: 'f32' });
  const result = meanDifference(await llamaDistributions(llama, file, ids, engine.config.vocab), await ourDistributions(engine, ids));
  engine.close();
  return result;
}

// llama.cpp keeps keys and values in f16, which is all that differs with F32 weights.
const F32_KL = 1e-5;
/** @type {[string, Parameters<typeof randomModel>[0]][]} */
const architectures = [
  ['llama, tied', { arch: 'llama' }],
  ['llama, untied', { arch: 'llama', tied: false }],
  ['llama, rope_freqs', { arch: 'llama', ropeFreqs: true }],
  ['llama, linear RoPE scaling', { arch: 'llama', metadata: { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 3.5 } }],
  ['llama, YaRN', { arch: 'llama', metadata: YARN }],
  ['qwen2', { arch: 'qwen2', tied: false }],
  ['qwen3', { arch: 'qwen3', tied: false }],
  ['gemma3', { arch: 'gemma3', tied: false }],
];
for (const [name, options] of architectures) {
  test(`${name} agrees with llama.cpp`, async (t) => {
    const { kl, top1 } = await difference(randomModel(options));
    t.diagnostic(`KL ${kl.toExponential(1)}, top-1 ${100 * top1} %`);
    assert.ok(kl < F32_KL, `KL ${kl}`);
  });
}

/** @type {[string, Parameters<typeof randomModel>[0], Parameters<typeof randomModel>[0]][]} */
const wrong = [
  ['YaRN', { arch: 'llama', metadata: YARN }, { arch: 'llama' }],
  ['linear scaling', { arch: 'llama', metadata: { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 3.5 } }, { arch: 'llama' }],
  ['the window', { arch: 'gemma3', tied: false }, { arch: 'gemma3', tied: false, metadata: { 'attention.sliding_window': 17 } }],
];
for (const [name, right, other] of wrong) {
  test(`the comparison notices that ${name} is not heeded`, async () => {
    const { kl } = await difference(randomModel(right), randomModel(other));
    assert.ok(kl > 10 * F32_KL, `KL ${kl}`);
  });
}

// llama.cpp rounds activations to 8 bits where weights are quantised, to f16 or bf16 where they are that; random weights
// amplify it. A misread bit of the weights costs far more: that is asserted below.
/** @type {[import('./helpers/random-model.js').TypeName, number][]} */
const types = [
  ['F16', 1e-5],
  ['BF16', 5e-4],
  ['Q4_0', 1e-3],
  ['Q4_1', 5e-3],
  ['Q5_0', 5e-3],
  ['Q5_1', 5e-3],
  ['Q8_0', 5e-3],
  ['Q4_K', 1e-2],
  ['Q5_K', 3e-2],
  ['Q6_K', 2e-2],
];
for (const [type, limit] of types) {
  test(`${type} agrees with llama.cpp`, async (t) => {
    const { kl, top1 } = await difference(randomModel({ arch: 'llama', type }));
    t.diagnostic(`KL ${kl.toExponential(1)}, top-1 ${100 * top1} %`);
    assert.ok(kl < limit, `KL ${kl}`);
  });
}

test('the comparison notices a misread bit of quantised weights', async (t) => {
  for (const type of /** @type {const} */ (['Q4_0', 'Q5_K', 'Q6_K'])) {
    const file = randomModel({ arch: 'llama', type });
    const flipped = Buffer.from(file);
    // Bit 3 of every 97th byte in the last two thirds: quants, scales and high bits of both layers.
    for (let at = Math.floor(flipped.length / 3); at < flipped.length; at += 97) flipped[at] ^= 8;
    const { kl } = await difference(file, flipped);
    t.diagnostic(`${type}: KL ${kl.toExponential(1)}`);
    assert.ok(kl > 0.04, `${type}: KL ${kl}`);
  }
});
