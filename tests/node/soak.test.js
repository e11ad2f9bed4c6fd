/** A short soak (`make soak`): the same scripts and faults, results and memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { soak } from '../soak/soak.js';
import { randomModel } from './helpers/random-model.js';

/** On a busy machine ten seconds are too few of them for all scratch to have been taken. */
const STEPS = 60;

test('ten seconds of everything at once', { timeout: 600_000 }, async (t) => {
  const model = new Uint8Array(randomModel({ arch: 'llama', type: 'Q4_K' }));
  const { compared, faults } = await soak({ ms: 10_000, least: STEPS, seed: 9, model, tokens: 150, log: (line) => t.diagnostic(line) });
  assert.ok(compared > 0 && Object.keys(faults).length > 2);
});
