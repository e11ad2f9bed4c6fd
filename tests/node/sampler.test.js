/** Choice of tokens: each stage, their order, the seed, and input that leaves no choice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSampler } from '../../web/generation/sampler.js';
import { seededRandom } from './helpers/random.js';

/** @typedef {import('../../web/generation/sampler.js').SamplerOptions} SamplerOptions */

const logits = (/** @type {number[]} */ ...values) => Float32Array.from(values);
/** Logits whose softmax is these probabilities. */
const ofProbabilities = (/** @type {number[]} */ ...p) => Float32Array.from(p, Math.log);

/**
 * @param {number} count
 * @param {number} seed
 */
function randomLogits(count, seed) {
  const random = seededRandom(seed);
  return Float32Array.from({ length: count }, () => 12 * (random() - 0.5));
}

/**
 * How often each token is drawn.
 * @param {SamplerOptions} options
 * @param {Float32Array} scores
 * @param {number} draws
 * @param {number[]} [recent]
 */
function frequencies(options, scores, draws, recent) {
  const sampler = createSampler({ temperature: 1, seed: 1, ...options });
  const counts = new Float64Array(scores.length);
  for (let i = 0; i < draws; i++) counts[sampler.sample(scores, recent)] += 1 / draws;
  return counts;
}

/**
 * @param {ArrayLike<number>} actual
 * @param {number[]} expected
 */
function assertNear(actual, expected) {
  // Five standard deviations of a frequency over the 20000 draws used here, at most.
  for (const [i, p] of expected.entries()) {
    assert.ok(Math.abs(actual[i] - p) <= 5 * Math.sqrt((p * (1 - p)) / 20000), `token ${i}: ${actual[i]} for ${p}`);
  }
}

/** @param {Float64Array} counts */
const drawn = (counts) => [...counts.keys()].filter((id) => counts[id] > 0);

/**
 * The tokens that may be drawn, by plain sorting: what the heap and the cut-offs must agree with.
 * @param {Float32Array} scores
 * @param {SamplerOptions} options
 */
function allowed(scores, { topK = 0, topP = 1, minP = 0 }) {
  let ids = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
  if (topK > 0) ids = ids.slice(0, topK);
  const weights = ids.map((id) => Math.exp(scores[id] - scores[ids[0]]));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let mass = 0;
  const kept = ids.filter((_, i) => {
    const keep = i === 0 || mass < topP * total;
    mass += weights[i];
    return keep;
  });
  return kept.filter((id) => scores[id] >= scores[ids[0]] + Math.log(minP)).sort((a, b) => a - b);
}

describe('stages', () => {
  test('the default takes the greatest logit, the first of equals', () => {
    const sampler = createSampler();
    assert.equal(sampler.sample(logits(-3, 1, 7, 2, 7)), 2);
    assert.equal(sampler.sample(logits(-Infinity, -9, -Infinity)), 1);
    const many = randomLogits(262144, 3);
    assert.equal(sampler.sample(many), many.indexOf(many.reduce((a, b) => Math.max(a, b))));
  });

  test('temperature 1 draws the distribution itself, others its power', () => {
    const scores = ofProbabilities(0.5, 0.25, 0.15, 0.1);
    assertNear(frequencies({}, scores, 20000), [0.5, 0.25, 0.15, 0.1]);
    const squares = [0.25, 0.0625, 0.0225, 0.01];
    const total = squares.reduce((sum, square) => sum + square);
    assertNear(
      frequencies({ temperature: 0.5 }, scores, 20000),
      squares.map((square) => square / total),
    );
    assert.deepEqual(drawn(frequencies({ temperature: 1e-300 }, scores, 100)), [0]);
  });

  test('top-k, top-p and min-p keep what they say', () => {
    const scores = ofProbabilities(0.1, 0.4, 0.2, 0.3);
    assert.deepEqual(drawn(frequencies({ topK: 2 }, scores, 1000)), [1, 3]);
    assert.deepEqual(drawn(frequencies({ topP: 0.69 }, scores, 1000)), [1, 3]);
    assert.deepEqual(drawn(frequencies({ topP: 0.71 }, scores, 1000)), [1, 2, 3]);
    assert.deepEqual(drawn(frequencies({ topP: 0 }, scores, 100)), [1]);
    assert.deepEqual(drawn(frequencies({ minP: 0.6 }, scores, 1000)), [1, 3]);
    assert.deepEqual(drawn(frequencies({ minP: 1 }, scores, 100)), [1]);
    assertNear(frequencies({ topK: 2 }, scores, 20000), [0, 4 / 7, 0, 3 / 7]);
  });

  test('top-p sees what top-k left, and neither sees temperature', () => {
    const scores = ofProbabilities(0.4, 0.3, 0.2, 0.1);
    // Of 0.4 and 0.3 the first alone has 57 %; of all four it has 40 %.
    assert.deepEqual(drawn(frequencies({ topK: 2, topP: 0.5 }, scores, 1000)), [0]);
    assert.deepEqual(drawn(frequencies({ topP: 0.5 }, scores, 1000)), [0, 1]);
    // At temperature 100 all four are near 25 %: top-p after it would keep three, min-p after it all.
    assert.deepEqual(drawn(frequencies({ topP: 0.65, temperature: 100 }, scores, 1000)), [0, 1]);
    assert.deepEqual(drawn(frequencies({ minP: 0.6, temperature: 100 }, scores, 1000)), [0, 1]);
  });

  test('on a large vocabulary the same tokens stay as by sorting', () => {
    const scores = randomLogits(3000, 9);
    for (let i = 0; i < 3000; i += 7) scores[i] = scores[0]; // equals
    for (const options of [{ topK: 5 }, { topK: 40, topP: 0.6 }, { topP: 0.02 }, { minP: 0.97 }, { topK: 2999, minP: 0.98 }]) {
      const ids = allowed(scores, options);
      const counts = frequencies(options, scores, 200 * ids.length);
      assert.deepEqual(drawn(counts), ids, JSON.stringify(options));
    }
    const uniform = new Float32Array(1000);
    assert.equal(drawn(frequencies({ topP: 0.01 }, uniform, 1000)).length, 10);
    assert.deepEqual(drawn(frequencies({ topK: 3 }, uniform, 500)), [0, 1, 2], 'of equals the first');
    assert.deepEqual(drawn(frequencies({ topK: 2 }, logits(1, 1, 2), 500)), [0, 2]);
    assert.deepEqual(drawn(frequencies({ topP: 0 }, uniform, 50)), [0]);
  });

  test('the repetition penalty divides positive logits, multiplies others, once per token, in the window', () => {
    const greedy = createSampler({ repetitionPenalty: 2, repetitionWindow: 2 });
    assert.equal(greedy.sample(logits(4, 3, 1), [0]), 1);
    assert.equal(greedy.sample(logits(4, 2.5, 1), [0, 0]), 1);
    assert.equal(greedy.sample(logits(4, 1.5, 1), [0, 0]), 0, 'not squared');
    assert.equal(greedy.sample(logits(-1, -1.5, -9), [0]), 1);
    assert.equal(greedy.sample(logits(4, 3, 1), [0, 2, 2]), 0, 'out of the window');
    assert.equal(createSampler({ repetitionPenalty: 2, repetitionWindow: 0 }).sample(logits(4, 3), [0]), 0);
    assert.equal(greedy.sample(logits(4, 3, 1)), 0);
    // Before top-k: the penalised token is no longer among the two best.
    assert.deepEqual(drawn(frequencies({ repetitionPenalty: 9, topK: 2 }, logits(3, 2, 1), 500, [0])), [1, 2]);
  });

  test('the logits given stay as they are', () => {
    const scores = logits(4, 3, 1);
    createSampler({ repetitionPenalty: 2, temperature: 1, topK: 2, topP: 0.9, minP: 0.1 }).sample(scores, [0, 1]);
    assert.deepEqual(scores, logits(4, 3, 1));
  });
});

describe('seed', () => {
  const choices = (/** @type {number | undefined} */ seed) => {
    const sampler = createSampler(seed === undefined ? { temperature: 1 } : { temperature: 1, seed });
    const scores = new Float32Array(1000);
    return Array.from({ length: 12 }, () => sampler.sample(scores));
  };

  test('the same seed gives the same choices, everywhere', () => {
    assert.deepEqual(choices(42), choices(42));
    assert.deepEqual(choices(42), [660, 111, 79, 15, 880, 183, 968, 772, 496, 534, 157, 258]);
  });

  test('other seeds, and none, give others', () => {
    const seen = [0, 1, 42, 2 ** 32, 2 ** 32 + 42, Number.MAX_SAFE_INTEGER, undefined, undefined].map(choices);
    assert.equal(new Set(seen.map(String)).size, seen.length);
  });
});

describe('bad input', () => {
  test('options out of range', () => {
    /** @type {[keyof SamplerOptions, unknown[]][]} */
    const bad = [
      ['temperature', [-0.1, NaN, Infinity, '1']],
      ['topK', [-1, 1.5, NaN]],
      ['topP', [-0.1, 1.1, NaN]],
      ['minP', [-0.1, 1.1, NaN]],
      ['repetitionPenalty', [0, -1, NaN, Infinity]],
      ['repetitionWindow', [-1, 0.5, NaN]],
      ['seed', [-1, 0.5, NaN, 2 ** 53, 'x']],
    ];
    for (const [field, values] of bad) {
      for (const value of values) {
        const error = { name: 'HalfspaceError', code: 'bad-argument', field, value };
        assert.throws(() => createSampler({ [field]: value }), error, `${field} ${value}`);
      }
    }
  });

  test('logits that leave no choice', () => {
    for (const options of [{}, { temperature: 1 }, { temperature: 1, topP: 0.5, repetitionPenalty: 1.1 }]) {
      const sampler = createSampler(options);
      for (const scores of [logits(1, NaN, 2), logits(NaN), logits(1, Infinity), logits(-Infinity, -Infinity), logits()]) {
        assert.throws(() => sampler.sample(scores, [0]), { code: 'bad-argument', field: 'logits' });
      }
      assert.equal(sampler.sample(logits(-Infinity, 5), [0]), 1);
    }
  });
});
