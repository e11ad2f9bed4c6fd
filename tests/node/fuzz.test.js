/** A few thousand inputs of each fuzz target, always the same ones: `make fuzz-js` tries others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { runTarget } from '../fuzz/run-target.js';

const RUNS = {
  gguf: 600,
  metadata: 2000,
  model: 150,
  snapshot: 60,
  chunks: 150,
  template: 800,
  request: 2000,
  http: 150,
  wire: 1000,
  options: 500,
};

for (const [name, runs] of Object.entries(RUNS)) {
  test(name, async () => {
    const { executions, finding } = await runTarget(name, { seed: 20_241_014, runs });
    assert.equal(finding, undefined);
    assert.equal(executions, runs);
  });
}
