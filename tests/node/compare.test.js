/** engine.compare(): dense attention and another on the same tokens, against perplexity() and generate(); detokenizeEach(). */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Engine as Here } from '../../web/engine.js';
import { Engine as There } from '../../web/worker-engine.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';

/** @typedef {import('../../web/remote/api.js').Engine} Any */

const TEXT = 'The rabbit-hole went straight on like a tunnel for some way';
const SPARSE = { strength: /** @type {const} */ ('exact'), r: 7, denseBelow: 1 };
let folder = '';
/** @type {Here} */
let here;
/** @type {There} */
let there;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  const path = join(folder, 'tiny.gguf');
  await writeFile(path, randomModel({ arch: 'llama', tied: false, printable: true }));
  here = await Here.load(path);
  there = await There.load(path);
});
after(async () => {
  here.close();
  there.close();
  await rm(folder, { recursive: true });
});

/** @template T @param {AsyncIterable<T>} items */
async function all(items) {
  /** @type {T[]} */
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

/** @param {{ms: number, msDense: number}[]} items what does not depend on the clock */
const timeless = (items) => items.map(({ ms, msDense, ...rest }) => ({ ...rest, timed: ms > 0 && msDense > 0 }));

/** @param {Any} engine */
async function memory(engine) {
  await engine.logits('a');
  return engine.info.memoryBytes;
}

test('on the tokens of a text, KL and agreement are those of perplexity(), and statistics those of the steps', async () => {
  const ids = here.tokenize(TEXT);
  const from = ids.length - 20;
  const { kl, top1Agreement, attention } = await here.perplexity(TEXT, { evalTokens: 20, attention: SPARSE, against: 'dense' });
  const rows = await all(here.compare(ids.slice(0, from), { follow: ids.slice(from), attention: SPARSE }));
  assert.equal(rows.length, 20);
  assert.deepEqual(
    rows.map(({ id }) => id),
    ids.slice(from),
  );
  const mean = (/** @type {number[]} */ values) => values.reduce((sum, x) => sum + x, 0) / values.length;
  assert.ok(/** @type {number} */ (kl) > 1e-6);
  assert.ok(Math.abs(mean(rows.map((row) => row.kl)) - Number(kl)) < 1e-12);
  assert.equal(mean(rows.map((row) => Number(row.same))), top1Agreement);
  assert.equal(
    rows.reduce((sum, { stats }) => sum + stats.keysExact, 0),
    attention?.keysExact,
  );
});

test('left alone it goes where dense attention goes, after a prefix too', async () => {
  const dense = await all(here.generate(TEXT, { attention: 'dense', maxTokens: 12 }));
  const ids = here.tokenize(TEXT);
  const before = await memory(here);
  for (const held of [0, 30, ids.length - 1]) {
    const prefix = held > 0 ? await here.prefill(ids.slice(0, held), { attention: 'dense' }) : undefined;
    const rows = await all(here.compare(ids.slice(held), { prefix, attention: SPARSE, maxTokens: 12 }));
    assert.deepEqual(
      rows.map(({ id }) => id),
      dense.map(({ id }) => id),
    );
    assert.equal(rows.map(({ text }) => text).join(''), dense.map(({ text }) => text).join(''));
    for (const { same, chosen, chosenText, id } of rows) {
      assert.equal(same, chosen === id);
      assert.equal(chosenText, here.tokenizer.decodeStream().push(chosen));
    }
    assert.ok(rows.some(({ same }) => !same) && rows.some(({ same }) => same), 'seven keys are too few at times');
    prefix?.free();
  }
  assert.equal(await memory(here), before, 'nothing is held');
  const exact = await all(here.compare(TEXT, { attention: 'dense', maxTokens: 5 }));
  assert.ok(exact.every(({ kl, same, stats }) => kl === 0 && same && stats.exactFraction === 1));
});

test('it ends with the context, and where dense attention ends', async () => {
  const { length } = here.tokenize(TEXT);
  assert.equal((await all(here.compare(TEXT, { ctx: length + 4 }))).length, 4);
  assert.equal((await all(here.compare(TEXT, { ctx: length }))).length, 0);
  assert.equal((await all(here.compare(TEXT, { maxTokens: 0 }))).length, 0);
  const [first] = await all(here.compare(TEXT, { maxTokens: 1 }));
  here.tokenizer.eosIds.add(first.id);
  assert.equal((await all(here.compare(TEXT))).length, 0);
  assert.equal((await all(here.compare(TEXT, { follow: [first.id, first.id] }))).length, 2, 'not where the tokens are given');
  here.tokenizer.eosIds.delete(first.id);
});

test('from a worker it is the same; it may be left and aborted, and gives its memory back', async () => {
  const options = { attention: SPARSE, maxTokens: 9 };
  assert.deepEqual(timeless(await all(there.compare(TEXT, options))), timeless(await all(here.compare(TEXT, options))));
  for (const engine of [here, there]) {
    const before = await memory(engine);
    for await (const { index } of engine.compare(TEXT, options)) if (index === 2) break;
    const abort = new AbortController();
    const aborted = engine.compare(TEXT, { ...options, signal: abort.signal });
    await aborted.next();
    abort.abort();
    await assert.rejects(all(aborted), failure('aborted'));
    assert.equal(await memory(engine), before);
  }
});

test('bad arguments are named, and nothing is lost by them', async () => {
  for (const engine of [here, there]) {
    const before = await memory(engine);
    const first = (/** @type {any} */ options, /** @type {any} */ prompt = TEXT) => engine.compare(prompt, options).next();
    await assert.rejects(first({ maxTokens: -1 }), failure('bad-argument', 'maxTokens', -1));
    await assert.rejects(first({}, []), failure('bad-argument', 'prompt'));
    await assert.rejects(first({ ctx: 3 }), failure('context-full', 'prompt'));
    await assert.rejects(first({ attention: { theta: 7 } }), failure('bad-argument', 'attention.theta', 7));
    await assert.rejects(all(engine.compare(TEXT, { follow: [1e6, 3] })), failure('bad-argument'));
    const prefix = await engine.prefill('a');
    prefix.free();
    await assert.rejects(first({ prefix }), failure('closed', 'prefix'));
    assert.equal(await memory(engine), before);
  }
});

test('each token has its text; a character of several tokens is the last one’s', async () => {
  const text = 'héé→兎,end';
  const ids = here.tokenize(text, { addSpecial: false });
  const texts = here.detokenizeEach(ids);
  assert.equal(texts.length, ids.length);
  assert.equal(texts.join(''), here.detokenize(ids));
  assert.ok(texts.join('').endsWith(text));
  const whole = texts.join('');
  assert.equal(texts.filter((part) => part === '').length, new TextEncoder().encode(whole).length - [...whole].length, 'a token per byte');
  assert.deepEqual(await there.detokenizeEach(ids), texts);
  assert.deepEqual(here.detokenizeEach(ids.slice(0, texts.indexOf('兎'))).at(-1), '\ufffd', 'a character without its end');
  assert.deepEqual(here.detokenizeEach([]), []);
  assert.throws(() => here.detokenizeEach([1e6]), failure('bad-argument', 'id', 1e6));
});
