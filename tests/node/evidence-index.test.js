/** Evidence of the lemma, the bounds, the index's cost and its growth: the methods are what they say, and the sections run. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

import { KvCache } from '../../web/attention.js';
import { gaussian } from '../../web/cli/bench/keys.js';
import { measureHead } from '../../web/cli/bench/scaling.js';
import { FORCED } from '../../web/cli/bench/ways.js';
import { bisectThreshold, countFrom, distance, logitsOf, rms, split } from '../evidence/plain.js';
import { Section } from '../evidence/section.js';
import * as bound from '../evidence/sections/bound.js';
import * as cost from '../evidence/sections/cost.js';
import * as crossover from '../evidence/sections/crossover.js';
import * as growth from '../evidence/sections/growth.js';
import * as lemma from '../evidence/sections/lemma.js';
import { bruteAttention, softmax, softmaxOfTop, storedRows } from './helpers/brute-attention.js';
import { randomModel } from './helpers/random-model.js';

const BOOK = fileURLToPath(new URL('../../demo/documents/alice.txt', import.meta.url));
const WASM = {};
const SOURCE = gaussian({ headDim: 64, kvHeads: 1, group: 2, steps: 2 });

test('thresholds are counted and bisected', () => {
  const logits = [Float64Array.from({ length: 100 }, (_, i) => i - 50), Float64Array.from({ length: 100 }, (_, i) => i)];
  assert.equal(countFrom(logits[0], 39), 11);
  // From 80 on: 0 of the first and 20 of the second.
  const b = bisectThreshold(logits, 10);
  assert.ok(b > 79.999 && b <= 80, `${b}`);
  assert.deepEqual(Array.from(logitsOf([3, 4, 0, 0], [1, 1, 9, 9, -2, 1, 9, 9])), [3.5, -1]);
  assert.equal(rms([3, -4, 0, 0]), 2.5);
});

test('simulated logits are normal, and thresholds admit what they are made for', () => {
  const [small, large] = lemma.simulate(64, { sizes: [512, 4096], dims: [64], queries: 16 });
  // 4 sqrt(1 + ln(16 / 0.01) / 64) sqrt(0.4 ln 4096)
  assert.ok(Math.abs(large.paper - 7.70521) < 1e-4, `${large.paper}`);
  for (const { n, tightPassed, plain, plainPassed } of [small, large]) {
    assert.equal(tightPassed.length, 8);
    const held = tightPassed.reduce((sum, x) => sum + x, 0) / 8;
    assert.ok(held > 0.8 * n ** 0.8 && held < 1.25 * n ** 0.8, `${held} of ${n}`);
    assert.ok(Math.abs(plain - Math.sqrt(0.4 * Math.log(n))) < 1e-12);
    // Of a normal logit, P(x >= t) <= exp(-t^2 / 2) / (t sqrt(2 pi)): deviations of queries spread it.
    const passed = plainPassed.reduce((sum, x) => sum + x, 0) / 16;
    assert.ok(passed > 0.1 * n ** 0.8 && passed < n ** 0.8, `${passed} of ${n}`);
  }
});

test('errors of top-r are those of brute force, and a bound below one is found', async () => {
  const n = 700;
  const looks = await bound.measure(SOURCE, n, [5, 60], WASM);
  const cache = await KvCache.create({ headDim: 64, wasm: WASM });
  for (const rows of SOURCE.rows(n)) cache.append(rows);
  const held = storedRows(cache);
  const errors = SOURCE.queries
    .flatMap((step) => split(step, 64))
    .flatMap((q) =>
      [5, 60].map((r) => distance(bruteAttention(cache, q, {}, softmax, held), bruteAttention(cache, q, {}, softmaxOfTop(r), held))),
    );
  cache.free();
  assert.equal(looks.length, errors.length);
  for (const [i, look] of looks.entries()) {
    assert.ok(Math.abs(look.paper.error - errors[i]) < 1e-9 * look.length);
    // The engine's exact top-r is the same output, of f32.
    assert.ok(Math.abs(look.ours.error - errors[i]) < 1e-5 * look.length);
    assert.ok(look.tau > 0 && look.tau < 1 && look.paper.bound < 2 * look.length);
    const wrong = { ...look, far: { ...look.far, bound: 0.99 * look.far.error } };
    assert.throws(() => bound.check(wrong), /the bound far/);
    assert.throws(() => bound.check({ ...look, identity: 1e-6 * look.length }), /identity/);
  }
});

test('an index pays for itself when it saves more than its own indexing', () => {
  // Of three chunks the second one was interrupted.
  const chunk = [1, 1, 1, 1, 1, 1, 1, 9];
  assert.equal(cost.usPerKey([...chunk, ...chunk.map((ms) => 100 * ms), ...chunk]), (1000 * 2) / 128);
  assert.equal(cost.tokensToPay({ n: 1000, extraUs: 2, savedUs: 102 }), 20);
  assert.equal(cost.tokensToPay({ n: 1000, extraUs: 2, savedUs: 2 }), Infinity);
  assert.equal(cost.tokensToPay({ n: 1000, extraUs: 2, savedUs: -5 }), Infinity);
});

test('crossovers are interpolated, and the last one counts', () => {
  const at = (/** @type {[number, number][]} */ points) => crossover.crossing(points.map(([n, ratio]) => ({ n, ratio })));
  assert.deepEqual(at([[256, 0.5], [1024, 2]]), { n: 512, kind: 'at' }); // prettier-ignore
  assert.deepEqual(at([[256, 2], [512, 0.5], [1024, 0.5], [4096, 2]]), { n: 2048, kind: 'at' }); // prettier-ignore
  assert.deepEqual(at([[256, 2], [1024, 3]]), { n: 256, kind: 'from the first size' }); // prettier-ignore
  assert.deepEqual(at([[256, 2], [1024, 0.9]]), { n: 1024, kind: 'never' }); // prettier-ignore
});

test('ways are what they are called', async () => {
  const { n, ways } = await crossover.measure(SOURCE, 600, WASM);
  assert.equal(n, 600);
  assert.equal(ways.dense.error, 0);
  assert.ok(ways.relu.error < 1e-4, `${ways.relu.error}`);
  assert.ok(ways['certified eps=0.1'].error > 0 && ways['certified eps=0.1'].error < 2, 'bound of 0.1 of the longest value');
  assert.ok(ways['exact r=n^0.8'].error > ways['fast r=n^0.8'].error, 'a far field makes the error smaller');
  const work = Object.fromEntries(
    Object.entries((await measureHead(SOURCE, 600, WASM, FORCED)).ways).map(([name, way]) => [name, way.work]),
  );
  assert.equal(work.dense, 1);
  // Beside 16 + 72 unsealed keys there are 32 leaves, of which keys are screened, and some then evaluated.
  assert.ok(work.fast > (88 + 32) / 600 && work.fast < 2, `${work.fast}`);
  assert.ok(work.report > 64 / 600 && work.report < 3, `${work.report}`);
});

test('keys of few dimensions keep their logits', () => {
  const [narrow, wide] = [gaussian({ headDim: 8, kvHeads: 1, group: 1, steps: 2 }), growth.normal(8, 2)];
  assert.equal(wide.headDim, 16);
  const keys = [narrow, wide].map((source) => Array.from(source.rows(50))[0].keys);
  const logits = [narrow, wide].map(({ queries }, i) => logitsOf(queries[1], keys[i]));
  for (const [i, x] of logits[0].entries()) assert.ok(Math.abs(x - logits[1][i]) < 1e-6);
});

test('every section runs, of a model of random weights', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  t.after(() => rm(folder, { recursive: true }));
  const model = join(folder, 'model.gguf');
  await writeFile(model, randomModel({ arch: 'llama', metadata: { context_length: 2048 } }));
  const setting = { quick: true, model, file: BOOK, log: () => undefined };
  const sizes = [256, 1024];
  const runs = {
    lemma: (/** @type {Section} */ section) => lemma.run(section, setting),
    bound: (/** @type {Section} */ section) => bound.run(section, setting),
    cost: (/** @type {Section} */ section) => cost.run(section, setting, sizes),
    crossover: (/** @type {Section} */ section) => crossover.run(section, setting, sizes),
    growth: (/** @type {Section} */ section) => growth.run(section, setting, sizes),
  };
  for (const [name, run] of Object.entries(runs)) {
    await t.test(name, async () => {
      const section = new Section();
      await run(section);
      const tables = section.parts.flatMap((part) => (part.kind === 'table' ? [part] : []));
      assert.ok(tables.length > 0);
      for (const { title, head, rows } of tables)
        for (const row of rows) {
          assert.equal(row.length, head.length, title);
          assert.ok(!row.some((cell) => /NaN|undefined/.test(String(cell))), `${title}: ${row.join(', ')}`);
        }
      for (const part of section.parts) if (part.kind === 'chart') assert.ok(!/NaN|Infinity/.test(part.svg), part.title);
      for (const sentence of section.against) assert.ok(!/NaN|undefined|Infinity/.test(sentence), sentence);
    });
  }
});
