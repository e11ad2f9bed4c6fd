/** What the demo keeps of an answer's steps, and how it shows tokens as words: no browser is needed for this. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { KEPT, sharesOf, StepLog } from '../../demo/step-log.js';
import { levelOf, LEVELS, wordsOf } from '../../demo/view/lit-words.js';

const SHAPE = { layers: 2, kvHeads: 2 };

/** @param {number} index @param {number} [keys] of each head */
function token(index, keys = 3) {
  const reported = (/** @type {number} */ layer, /** @type {number} */ kvHead) => ({
    ...{ layer, kvHead, total: keys + 1 },
    positions: Int32Array.from({ length: keys }, (_, i) => (i * 5 + layer) % 10),
    shares: Float32Array.from({ length: 2 * keys }, (_, i) => (i + 1) / 64 / (kvHead + 1)), // two query heads
  });
  const stats = (layer = 0, kvHead = 0) => ({ exactFraction: (1 + layer + 2 * kvHead) / 8 });
  return /** @type {any} */ ({ index, text: `t${index}`, position: 20 + index, step: { reported, stats } });
}

test('shares are means of query heads, and of the heads that are asked for; a position may be reported twice', () => {
  const log = new StepLog();
  log.add({ ...token(0), step: undefined }, SHAPE);
  assert.equal(log.at(), undefined, 'the first token has no step');
  log.add(token(1), SHAPE);
  const kept = /** @type {import('../../demo/step-log.js').Kept} */ (log.at());
  assert.deepEqual([kept.index, kept.position, kept.total], [1, 21, 16]);
  assert.deepEqual([...kept.exact], [1 / 8, 3 / 8, 2 / 8, 4 / 8]);
  const lit = (/** @type {object} */ heads) =>
    Object.fromEntries([...sharesOf(kept, 20, heads)].map((share, i) => [i, share]).filter(([, share]) => share > 0));
  // Positions 0, 5, 0 of layer 0: mean shares 1.5, 3.5 and 5.5 64ths.
  assert.deepEqual(lit({ layer: 0, kvHead: 0 }), { 0: 7 / 64, 5: 3.5 / 64 });
  assert.deepEqual(lit({ layer: 1, kvHead: 1 }), { 1: 3.5 / 64, 6: 1.75 / 64 });
  assert.deepEqual(lit({ kvHead: 0 }), { 0: 3.5 / 64, 1: 3.5 / 64, 5: 1.75 / 64, 6: 1.75 / 64 });
  assert.deepEqual(lit({}), { 0: 2.625 / 64, 1: 2.625 / 64, 5: 1.3125 / 64, 6: 1.3125 / 64 });
});

test('the newest tokens are kept, by their number and by their keys', () => {
  const log = new StepLog();
  for (let index = 0; index < KEPT.tokens + 44; index++) log.add(token(index), SHAPE);
  assert.deepEqual([log.steps.length, log.steps[0].index, log.at()?.index], [KEPT.tokens, 44, KEPT.tokens + 43]);
  assert.deepEqual([log.at(50)?.index, log.at(3)?.index, log.at(1000)?.index], [50, 44, KEPT.tokens + 43]);
  const many = KEPT.keys / 16;
  for (let index = 300; index < 310; index++) log.add(token(index, many), SHAPE);
  const keys = log.steps.reduce((sum, { positions }) => sum + positions.length, 0);
  assert.deepEqual([keys, log.steps.length], [KEPT.keys, 4]);
  log.add(token(310, KEPT.keys / 2), SHAPE);
  assert.equal(log.steps.length, 1, 'the newest stays, whatever its size');
  log.clear();
  log.add(token(0, many), SHAPE);
  assert.equal(log.steps.length, 1);
});

test('tokens inside a character go with the one that ends it', () => {
  assert.deepEqual(wordsOf(['a', '', '', 'b', 'c', '']), [
    { text: 'a', from: 0, end: 1 },
    { text: 'b', from: 1, end: 4 },
    { text: 'c', from: 4, end: 6 },
  ]);
  assert.deepEqual(wordsOf([]), []);
  assert.deepEqual([0, LEVELS[0] * 0.99, LEVELS[0], 0.02, 1].map(levelOf), [0, 0, 1, 4, LEVELS.length]);
});
