/** The suite of the public API in every runtime. One that is missing fails, and so does a README that tells otherwise. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { RUNTIMES } from './runtimes.js';
import { serve } from './served.js';
import { TABLE, tableOf } from './table.js';

/** @type {import('./runtimes.js').Served} */
let served;
/** @type {import('./table.js').Run[]} */
const runs = [];

before(async () => {
  served = await serve();
});
after(() => served.close());

for (const { name, allowed, run } of RUNTIMES) {
  test(name, { timeout: 120_000 }, async () => {
    const results = await run(served, allowed);
    const failed = results.filter(({ ok }) => !ok).map(({ area, name, error }) => `${area}: ${name}\n${error}`);
    assert.equal(failed.length, 0, failed.join('\n\n'));
    runs.push({ name, results });
  });
}

test('every runtime ran the same tests', () => {
  assert.equal(runs.length, RUNTIMES.length);
  const names = runs.map(({ results }) => results.map(({ area, name }) => `${area}: ${name}`));
  assert.ok(names[0].length > 30);
  for (const other of names) assert.deepEqual(other, names[0]);
});

test('the README has the table of this run: make table', async () => {
  assert.equal(await TABLE.read(), tableOf(runs));
});
