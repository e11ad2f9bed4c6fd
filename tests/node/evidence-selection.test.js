/** Evidence on which keys attention reads: each way of choosing them against a plain computation, and the sections on a tiny model. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Context } from '../../web/generation/context.js';
import { Engine } from '../../web/index.js';
import { decodeChosen, evidenceBuild } from '../evidence/chosen.js';
import { hnswGraphs } from '../evidence/hnsw.js';
import { KeyNotes, PAGE } from '../evidence/notes.js';
import { Section } from '../evidence/section.js';
import { relativeError } from '../evidence/sections/baselines.js';
import { SECTIONS } from '../evidence/sections/index.js';
import { sparsityOf } from '../evidence/sections/sweep.js';
import * as choose from '../evidence/selectors.js';
import { randomModel } from './helpers/random-model.js';
import { seededRandom } from './helpers/random.js';

const BOOK = new URL('../../demo/documents/alice.txt', import.meta.url);
const D = 32;
const N = 200;
const SCALE = 1 / Math.sqrt(D);

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
const dot = (a, b) => Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0);

/** @param {number} n @param {number} seed @returns {Float32Array[]} */
function randomRows(n, seed) {
  const random = seededRandom(seed);
  return Array.from({ length: n }, () => Float32Array.from({ length: D }, () => 2 * (random() + random() + random()) - 3));
}

/** A step of keys at hand. @param {Float32Array[]} keys @param {number} n of them have come */
const stepOf = (keys, n) =>
  /** @type {import('../evidence/chosen.js').Step} */ (
    /** @type {unknown} */ ({
      n,
      headDim: D,
      keys: (/** @type {number} */ from, /** @type {number} */ count) =>
        Float32Array.from(keys.slice(from, from + count).flatMap((row) => Array.from(row))),
    })
  );

/** @param {Float32Array[]} keys @param {Float32Array} query @returns {choose.Head} */
function headOf(keys, query) {
  const notes = new KeyNotes();
  notes.update(stepOf(keys, keys.length));
  return { logits: Float32Array.from(keys, (key) => SCALE * dot(query, key)), query, scale: SCALE, notes, random: seededRandom(3) };
}

const KEYS = randomRows(N, 1);
const [QUERY] = randomRows(1, 2);

/** Softmax over a selection. @param {number[] | Float32Array} logits @param {ArrayLike<number>[]} values @param {import('../evidence/chosen.js').Selection} selection */
function plainAttention(logits, values, { positions, logWeights }) {
  const weights = Array.from(positions, (position, i) => Math.exp(logits[position] + (logWeights?.[i] ?? 0)));
  const total = weights.reduce((a, b) => a + b, 0);
  const out = new Float32Array(values[0].length);
  return out.map((_, d) => weights.reduce((sum, w, i) => sum + w * values[positions[i]][d], 0) / total);
}

test('the chosen keys, and no others, are attended to inside the model; all of them are dense attention', async () => {
  const engine = await Engine.load(randomModel({ arch: 'llama' }), evidenceBuild());
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: 400, kv: 'q8' });
  const ids = engine.tokenize((await readFile(BOOK, 'utf8')).slice(0, 400)).slice(0, 331);
  context.setAttention('dense');
  await context.prefill(ids.slice(0, 330), { logits: 'none' });
  const some = { positions: [3, 0, 329, 200, 17, 330], logWeights: [0, 1.5, -2, 0.25, 0, 3] };
  const all = { positions: Array.from({ length: 331 }, (_, i) => i) };
  /** @type {{layer: number, kvHead: number, scale: number, keys: Float32Array, logits: Float32Array[], queries: Float32Array[], outputs: Record<string, Float32Array[]>}[]} */
  const steps = [];
  decodeChosen(context, ids[330], (step) => {
    const { layer, kvHead, scale, group, n } = step;
    const ofAll = (/** @type {(g: number) => Float32Array} */ of) => Array.from({ length: group }, (_, g) => of(g).slice());
    const outputs = { some: ofAll((g) => step.attend(g, some)), all: ofAll((g) => step.attend(g, all)) };
    const notes = new KeyNotes();
    notes.update(step);
    for (const name of /** @type {const} */ (['slidingWindow', 'pages', 'topKeys', 'sampleUniformly', 'sampleByHashes']))
      Object.assign(outputs, {
        [name]: ofAll((g) =>
          step.attend(g, choose[name]({ logits: step.logits(g), query: step.query(g), scale, notes, random: Math.random }, n)),
        ),
      });
    step.engine({ strength: 'exact', r: 20, denseBelow: 0 });
    Object.assign(outputs, { top: ofAll((g) => step.output(g)) });
    const stats = step.engine('dense');
    assert.equal(stats.keysExact, 331);
    Object.assign(outputs, { dense: ofAll((g) => step.output(g)) });
    steps.push({
      layer,
      kvHead,
      scale,
      keys: step.keys(0, n),
      logits: ofAll((g) => step.logits(g)),
      queries: ofAll((g) => step.query(g)),
      outputs,
    });
  });
  const { layers, kvHeads, headDim } = context.shape;
  assert.equal(steps.length, layers * kvHeads);
  for (const { layer, kvHead, scale, keys, logits, queries, outputs } of steps) {
    const stored = context.rows(layer, kvHead);
    const rows = (/** @type {Float32Array} */ x) => Array.from({ length: 331 }, (_, i) => x.subarray(i * headDim, (i + 1) * headDim));
    assert.deepEqual(keys, stored.keys);
    for (const [g, query] of queries.entries()) {
      const plain = rows(stored.keys).map((key) => scale * dot(query, key));
      const off = Math.max(...plain.map((x, i) => Math.abs(x - logits[g][i])));
      assert.ok(off < 2e-3, `logits are off by ${off}`);
      const ordered = Array.from(plain.keys()).sort((a, b) => plain[b] - plain[a]);
      const expected = { some, top: { positions: ordered.slice(0, 20) } };
      for (const [name, output] of Object.entries(outputs)) {
        const selection = expected[/** @type {'some' | 'top'} */ (name)] ?? all;
        const error = relativeError(output[g], plainAttention(plain, rows(stored.values), selection));
        assert.ok(error < 2e-3, `${name} of layer ${layer} is off by ${error}`);
        // To rounding, on the same logits.
        if (selection === all) assert.ok(relativeError(output[g], outputs.dense[g]) < 1e-5, name);
      }
    }
  }
  assert.equal(context.length, 331);
  context.release();
  engine.close();
});

test('with all keys chosen the next token is as of dense attention, and models whose layers see a window are refused', async () => {
  const build = evidenceBuild();
  for (const arch of /** @type {const} */ (['qwen3', 'gemma3'])) {
    const engine = await Engine.load(randomModel({ arch }), build);
    const context = new Context(engine.wasm, engine.model, engine.config, { capacity: 64, kv: 'q8' });
    context.setAttention('dense');
    await context.prefill([5, 6, 7, 8, 9], { logits: 'none' });
    const everything = (/** @type {import('../evidence/chosen.js').Step} */ step) => {
      for (let g = 0; g < step.group; g++) step.attend(g, choose.topKeys({ ...headOf(KEYS, QUERY), logits: step.logits(g) }, 64));
    };
    if (arch === 'gemma3') assert.throws(() => decodeChosen(context, 10, everything), /do not see all keys/);
    else {
      decodeChosen(context, 10, everything);
      const chosen = context.logits().slice();
      context.truncate(5);
      context.decode(10);
      assert.ok(relativeError(chosen, context.logits()) < 1e-5);
      context.truncate(5);
      assert.throws(() => decodeChosen(context, 10, () => assert.fail('from inside')), /from inside/);
      const other = new Context(engine.wasm, engine.model, engine.config, { capacity: 64, kv: 'q8' });
      other.decode(11); // the engine stays usable, and attends by itself again
      other.release();
    }
    context.release();
    engine.close();
  }
});

test('notes of keys that come in pieces and are cut are those of all keys', () => {
  const whole = new KeyNotes();
  whole.update(stepOf(KEYS, 100));
  whole.update(stepOf(KEYS, N));
  const pieces = new KeyNotes();
  pieces.update(stepOf(KEYS, 100));
  pieces.update(stepOf(randomRows(N, 7).with(0, KEYS[0]).map((row, i) => (i < 100 ? KEYS[i] : row)), 150)); // prettier-ignore
  pieces.cut(100);
  for (let n = 101; n <= N; n++) pieces.update(stepOf(KEYS, n));
  assert.deepEqual(pieces, whole);
  const last = KEYS.slice(0, PAGE);
  assert.deepEqual(
    whole.low[0],
    Float32Array.from(last[0], (_, d) => Math.min(...last.map((key) => key[d]))),
  );
  assert.deepEqual(
    whole.high[0],
    Float32Array.from(last[0], (_, d) => Math.max(...last.map((key) => key[d]))),
  );
  assert.equal(whole.low.length, Math.floor(N / PAGE));
});

test('a window, the top keys, and pages by their bounds', () => {
  const head = headOf(KEYS, QUERY);
  const positions = (/** @type {choose.Selector} */ selector, /** @type {number} */ budget) => Array.from(selector(head, budget).positions);
  assert.deepEqual(positions(choose.slidingWindow, 18), [...Array.from({ length: 16 }, (_, i) => i), 198, 199]);
  const order = Array.from(head.logits.keys()).sort((a, b) => head.logits[b] - head.logits[a]);
  assert.deepEqual(
    positions(choose.topKeys, 30),
    order.slice(0, 30).toSorted((a, b) => a - b),
  );
  const ties = { ...head, logits: new Float32Array(9).fill(1) };
  assert.deepEqual(choose.topKeys(ties, 4).positions, [0, 1, 2, 3]);

  const bounds = Array.from({ length: 12 }, (_, page) => {
    const keys = KEYS.slice(16 * page, 16 * page + 16);
    // The corner of the page's box that is farthest along the query.
    const corner = Array.from(QUERY, (x, d) => (x > 0 ? Math.max(...keys.map((key) => key[d])) : Math.min(...keys.map((key) => key[d]))));
    assert.ok(keys.every((key) => dot(QUERY, key) <= dot(QUERY, corner)));
    return { page, bound: dot(QUERY, corner) };
  });
  const best = bounds.toSorted((a, b) => b.bound - a.bound).slice(0, 3);
  const expected = best.flatMap(({ page }) => Array.from({ length: 16 }, (_, i) => 16 * page + i));
  const newest = [192, 193, 194, 195, 196, 197, 198, 199];
  assert.deepEqual(positions(choose.pages, 3 * 16 + 8), [...expected.toSorted((a, b) => a - b), ...newest]);
  assert.equal(positions(choose.pages, 3 * 16 + 8 + 15).length, 3 * 16 + 8, 'a page is read whole or not at all');
});

test('samples are unbiased, of the keys and weights that they say', () => {
  const head = headOf(KEYS, QUERY);
  const values = KEYS.map((key) => key[0]);
  const weights = head.logits.map(Math.exp);
  const total = weights.reduce((a, b) => a + b, 0);
  const valued = weights.reduce((sum, w, i) => sum + w * values[i], 0);
  const ROUNDS = 2000;
  for (const selector of [choose.sampleUniformly, choose.sampleByHashes]) {
    let [mass, value, keys] = [0, 0, 0];
    /** @type {Map<number, number>} */
    const probabilities = new Map();
    const times = new Float64Array(N);
    for (let i = 0; i < ROUNDS; i++) {
      const { positions, logWeights = [] } = selector(head, 80);
      assert.equal(new Set(Array.from(positions)).size, positions.length);
      keys += positions.length / ROUNDS;
      for (let j = 0; j < positions.length; j++) {
        const w = (weights[positions[j]] * Math.exp(logWeights[j])) / ROUNDS;
        mass += w;
        value += w * values[positions[j]];
        times[positions[j]]++;
        probabilities.set(positions[j], Math.exp(-logWeights[j]));
      }
    }
    const name = selector.name;
    assert.ok(Math.abs(keys - 80) < 1, `${name}: ${keys} keys`);
    assert.ok(Math.abs(mass / total - 1) < 0.04, `${name}: mass ${mass / total}`);
    assert.ok(Math.abs(value - valued) < 0.04 * total, `${name}: values ${value} of ${valued}`);
    for (const [position, probability] of probabilities) {
      const forced = position < choose.SINKS || position >= N - choose.RECENT;
      if (forced || selector === choose.sampleUniformly) assert.equal(probability.toFixed(9), (forced ? 1 : 32 / 152).toFixed(9));
      assert.ok(Math.abs(times[position] / ROUNDS - probability) < 4 * Math.sqrt(0.25 / ROUNDS), `${name}: key ${position}`);
    }
    if (selector === choose.sampleByHashes) checkHashes(probabilities);
  }
});

/** One number of tables explains all probabilities. @param {Map<number, number>} probabilities by position */
function checkHashes(probabilities) {
  const mean = Array.from(QUERY, (_, d) => KEYS.reduce((sum, key) => sum + key[d] / N, 0));
  const match = (/** @type {number} */ position) => {
    const centred = Array.from(KEYS[position], (x, d) => x - mean[d]);
    const cosine = dot(QUERY, centred) / Math.sqrt(dot(QUERY, QUERY) * dot(centred, centred));
    return (1 - Math.acos(cosine) / Math.PI) ** 10;
  };
  const twice = (/** @type {number} */ p, /** @type {number} */ tables) => 1 - (1 - p) ** tables - tables * p * (1 - p) ** (tables - 1);
  const [[first, chance], ...others] = [...probabilities].filter(([position]) => position >= choose.SINKS && position < N - choose.RECENT);
  let [few, many] = [1, 1e9];
  for (let i = 0; i < 200; i++) {
    const tables = (few + many) / 2;
    if (twice(match(first), tables) < chance) few = tables;
    else many = tables;
  }
  assert.ok(others.length > 100);
  for (const [position, probability] of others) assert.ok(Math.abs(twice(match(position), few) - probability) < 1e-4, `key ${position}`);
}

test('a sample of softmax gives the mean of the values drawn', () => {
  const head = headOf(KEYS, QUERY);
  const total = head.logits.reduce((sum, x) => sum + Math.exp(x), 0);
  const peak = Math.max(...head.logits);
  const { positions, logWeights = [] } = choose.sampleOfSoftmax(head, 20_000);
  const counts = Array.from(positions, (position, i) => Math.exp(head.logits[position] - peak + logWeights[i]));
  assert.ok(Math.abs(counts.reduce((a, b) => a + b, 0) - 20_000) < 1e-6);
  for (let i = 0; i < positions.length; i++) {
    assert.ok(Math.abs(counts[i] - Math.round(counts[i])) < 1e-6);
    const share = Math.exp(head.logits[positions[i]]) / total;
    assert.ok(Math.abs(counts[i] / 20_000 - share) < 5 * Math.sqrt(share / 20_000), `key ${positions[i]}`);
  }
});

test('a graph is asked for what is not always taken', async () => {
  const graph = {
    size: 195,
    search: (/** @type {Float32Array} */ _query, /** @type {number} */ r) => [100, 3, 50, 60, 70, 80].slice(0, r),
  };
  const head = { ...headOf(KEYS, QUERY), graph };
  assert.deepEqual(choose.graphKeys(0)(head, 8).positions, [195, 196, 197, 198, 199, 100, 3, 50]);
  assert.deepEqual(choose.graphKeys(4)(head, 11).positions, [0, 1, 2, 3, 195, 196, 197, 198, 199, 100, 50]);

  const hnsw = await hnswGraphs({ neighbours: 16, buildEf: 100, ef: N });
  const real = hnsw.build(Float32Array.from(KEYS.flatMap((key) => Array.from(key))), D);
  const order = Array.from(head.logits.keys()).sort((a, b) => head.logits[b] - head.logits[a]);
  // It looks at as many keys as there are.
  assert.deepEqual([real.size, real.search(QUERY, 25)], [N, order.slice(0, 25)]);
});

test('figures of heads', () => {
  assert.equal(relativeError(Float32Array.of(3, 4), Float32Array.of(3, 5)), 1 / Math.sqrt(34));
  // Weights 8, 4, 2, 1, 1 of 16.
  const logits = Float32Array.of(0, Math.LN2, 3 * Math.LN2, 0, 2 * Math.LN2);
  assert.deepEqual(sparsityOf(logits, 2), { needed90: 4, needed99: 5, paper: sparsityOf(logits, 2).paper });
  assert.ok(Math.abs(sparsityOf(logits, 2).paper - 0.75) < 1e-6);
});

/** @param {string} name @param {string} model @param {string} file */
async function quick(name, model, file) {
  const section = new Section();
  const found = SECTIONS.find((other) => other.name === name);
  await found?.run(section, { quick: true, model, file, log: () => {} });
  const tables = section.parts.filter((part) => part.kind === 'table');
  for (const { head, rows } of tables) assert.ok(rows.every((row) => row.length === head.length));
  return { tables, against: section.against, charts: section.parts.filter((part) => part.kind === 'chart') };
}

test('sections on a tiny model', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  const [model, file] = [join(folder, 'model.gguf'), join(folder, 'text.txt')];
  await writeFile(model, randomModel({ arch: 'llama' }));
  await writeFile(file, (await readFile(BOOK, 'utf8')).slice(0, 4000));

  await t.test('sweep', async () => {
    const { tables, charts } = await quick('sweep', model, file);
    assert.deepEqual([tables.length, charts.length], [4, 1]);
    for (const { rows } of tables.slice(0, 3)) {
      assert.ok(rows.some(([r]) => r === '438 = n^0.8'));
      const kl = rows.map((row) => Number(row[3]));
      // All keys: as dense.
      assert.ok(Number(rows.at(-1)?.[1]) > 99 && kl[kl.length - 1] < 1e-4 && kl[0] > kl[kl.length - 1], String(kl));
    }
  });
  await t.test('relu', async () => {
    const { tables } = await quick('relu', model, file);
    assert.equal(tables.length, 3);
    for (const { rows } of tables.slice(0, 2)) assert.ok(rows.every(([, queries, , same]) => same === `${queries} of ${queries}`));
    assert.deepEqual([tables[0].rows[1][4], tables[0].rows[2][4]], ['0.1', '1']);
    assert.deepEqual(tables[2].rows[0].slice(3), [0, '100']);
  });
  await t.test('baselines', async () => {
    const { tables, charts } = await quick('baselines', model, file);
    assert.deepEqual([tables.length, charts.length], [5, 2]);
    const [kl, , errors, keys] = tables;
    assert.equal(kl.rows.length, 11);
    for (const [name, few, many] of errors.rows) assert.ok(Number(few) >= Number(many) && Number(few) > 0, `${name}: ${few}, ${many}`);
    const window = keys.rows.find(([name]) => name === 'window + sink');
    assert.deepEqual(window, ['window + sink', 128, 438]);
    const errorOf = (/** @type {string} */ name) => Number(errors.rows.find((row) => row[0] === name)?.[2]);
    // What dropped keys held is not lost.
    assert.ok(errorOf('ours, far field') < errorOf('ours, dropped'));
  });
});
