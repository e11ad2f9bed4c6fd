/** Ten seconds of the soak (`make soak`): the same scripts and faults, results and memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { soak } from '../soak/soak.js';
import { randomModel } from './helpers/random-model.js';

test('ten seconds of everything at once', { timeout: 120_000 }, async (t) => {
  const model = new Uint8Array(randomModel({ arch: 'llama', type: 'Q4_K' }));
  const { compared, faults } = await soak({ ms: 10_000, seed: 9, model, tokens: 150, log: (line) => t.diagnostic(line) });
  assert.ok(compared > 0 && Object.keys(faults).length > 2);
});
