/** Generation as a stream: stop strings, what is handed over to continue, back-pressure, and aborts that leave nothing behind. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { AnswerText } from '../../web/generation/answer-text.js';
import { Engine } from '../../web/index.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';
import { seededRandom } from './helpers/random.js';

const PROMPT = 'Once upon a time';
/** @type {Engine} */
let engine;
let baseline = 0;

before(async () => {
  engine = await Engine.load(randomModel({ arch: 'llama', tied: false, metadata: { context_length: 1024 }, seed: 2 }));
  await collect(PROMPT, { maxTokens: 1 }); // the buffer of logits is made with the first ones
  baseline = engine.info.memoryBytes;
});
after(() => engine.close());

/** @param {import('../../web/engine.js').Prompt} prompt @param {import('../../web/engine.js').GenerateOptions} [options] */
async function collect(prompt, options = {}) {
  /** @type {import('../../web/engine.js').GenerateStats | undefined} */
  let stats;
  const ids = [];
  let text = '';
  for await (const piece of engine.generate(prompt, { ...options, onStats: (s) => (stats = s) })) {
    ids.push(piece.id);
    text += piece.text;
  }
  return { ids, text, stats: /** @type {import('../../web/engine.js').GenerateStats} */ (stats) };
}

const memoryIsBack = () => assert.equal(engine.info.memoryBytes, baseline, 'memory is back where it was');

describe('stop strings', () => {
  /** Characters one by one: the first stop string that is complete ends the text, the longest of several. */
  function reference(/** @type {string} */ text, /** @type {string[]} */ stop) {
    for (let end = 1; end <= text.length; end++) {
      const met = stop.filter((s) => text.slice(0, end).endsWith(s)).sort((a, b) => b.length - a.length);
      if (met.length > 0) return { text: text.slice(0, end - met[0].length), stopped: true };
    }
    return { text, stopped: false };
  }

  test('the text does not depend on how it was cut into tokens, and is held back no longer than needed', () => {
    const random = seededRandom(7);
    const letters = (/** @type {number} */ least, /** @type {number} */ most) =>
      Array.from({ length: least + Math.floor(random() * (most - least + 1)) }, () => 'ab'[Math.floor(random() * 2)]).join('');
    let stoppedCount = 0;
    for (let round = 0; round < 2000; round++) {
      const whole = letters(0, 24);
      const stop = Array.from({ length: Math.floor(random() * 4) }, () => letters(1, 6));
      const parts = [];
      for (let at = 0; at < whole.length; at += parts[parts.length - 1].length) parts.push(whole.slice(at, at + 1 + random() * 4));
      const answer = new AnswerText({ push: (i) => parts[i], flush: () => '' }, stop);
      const expected = reference(whole, stop);
      let shown = '';
      for (let i = 0; i < parts.length && !answer.stopped; i++) {
        shown += answer.push(i);
        const held = parts
          .slice(0, i + 1)
          .join('')
          .slice(shown.length);
        if (!answer.stopped) assert.ok(held === '' || stop.some((s) => s.startsWith(held)), `"${held}" need not be held back`);
      }
      shown += answer.end();
      assert.deepEqual({ text: shown, stopped: answer.stopped }, expected, JSON.stringify({ parts, stop }));
      if (expected.stopped) stoppedCount++;
    }
    assert.ok(stoppedCount > 500 && stoppedCount < 1900, `${stoppedCount} of 2000`);
  });

  test('a generation ends before the stop string, wherever it lies', async () => {
    const free = await collect(PROMPT, { maxTokens: 40 });
    assert.deepEqual([free.stats.finishReason, free.stats.generatedTokens, free.ids.length], ['length', 40, 40]);
    assert.ok(new Set(free.ids).size > 20, 'a text that repeats itself would show little');
    const marks = Array.from({ length: 6 }, (_, i) => free.text.slice(4 * i, 4 * i + 3));
    for (const mark of marks) {
      const { text, ids, stats } = await collect(PROMPT, { maxTokens: 40, stop: ['never in the text', mark] });
      assert.equal(text, free.text.slice(0, free.text.indexOf(mark)));
      assert.deepEqual(ids, free.ids.slice(0, ids.length), 'the same tokens, fewer');
      assert.deepEqual([stats.finishReason, stats.generatedTokens], ['stop', ids.length]);
    }
    memoryIsBack();
  });

  test('text that only began like a stop string comes when maxTokens end the generation', async () => {
    const free = await collect(PROMPT, { maxTokens: 12 });
    const { text, stats } = await collect(PROMPT, { maxTokens: 12, stop: [`${free.text.slice(-3)} and more`] });
    assert.deepEqual([text, stats.finishReason], [free.text, 'length']);
  });

  test('text that was held back comes with the end token', async () => {
    const free = await collect(PROMPT, { maxTokens: 12 });
    const { eosIds } = engine.tokenizer;
    // From here on the last of the twelve tokens ends a generation.
    const at = free.ids.findIndex((id, i) => i > 2 && !free.ids.slice(0, i).includes(id));
    const decoder = engine.tokenizer.decodeStream();
    const before = free.ids.slice(0, at).map(decoder.push).join('') + decoder.flush();
    eosIds.add(free.ids[at]);
    try {
      const plain = await collect(PROMPT, { maxTokens: 12 });
      const held = await collect(PROMPT, { maxTokens: 12, stop: [`${before.slice(-2)} and more`] });
      assert.deepEqual([plain.text, held.text], [before, before]);
      assert.deepEqual(held.ids, free.ids.slice(0, at + 1), 'the end token carries it');
      assert.deepEqual([held.stats.finishReason, held.stats.generatedTokens], ['stop', at]);
    } finally {
      eosIds.delete(free.ids[at]);
    }
  });

  test('bad stop strings name the field', async () => {
    const refuses = (/** @type {any} */ stop, /** @type {string} */ field) =>
      assert.rejects(collect(PROMPT, { stop }), failure('bad-argument', field));
    await refuses('x', 'stop');
    await refuses(Array(17).fill('x'), 'stop');
    await refuses(['x', ''], 'stop[1]');
    await refuses(['x'.repeat(257)], 'stop[0]');
    await refuses(['\udc00'], 'stop[0]');
    await refuses([5], 'stop[0]');
    memoryIsBack();
  });
});

describe('onPrefix', () => {
  /** @param {import('../../web/engine.js').GenerateOptions} options @param {import('../../web/engine.js').Prompt} [prompt] */
  async function kept(options, prompt = PROMPT) {
    /** @type {import('../../web/engine.js').Prefix[]} */
    const prefixes = [];
    const result = await collect(prompt, { ...options, onPrefix: (prefix) => prefixes.push(prefix) });
    assert.equal(prefixes.length, 1);
    return { ...result, prefix: prefixes[0] };
  }

  test('what was read and generated goes on as if it had never ended', async () => {
    const whole = await collect(PROMPT, { maxTokens: 30, attention: 'dense' });
    const first = await kept({ maxTokens: 12, attention: 'dense', watch: true });
    const prompt = engine.tokenize(PROMPT);
    assert.deepEqual(first.prefix.ids, [...prompt, ...whole.ids.slice(0, 11)], 'the newest token was not read');
    const second = await kept({ maxTokens: 10, attention: 'dense', prefix: first.prefix }, whole.ids.slice(11, 12));
    assert.deepEqual(second.ids, whole.ids.slice(12, 22));
    assert.equal(second.stats.promptTokens, prompt.length + 12);
    assert.deepEqual(second.prefix.ids, [...prompt, ...whole.ids.slice(0, 21)]);
    assert.equal(second.prefix.inherited, first.prefix.length);
    assert.throws(() => first.prefix.truncate(3), failure('bad-argument'), 'another continues it');
    first.prefix.free();
    const third = await collect(whole.ids.slice(21, 22), { maxTokens: 8, attention: 'dense', prefix: second.prefix });
    assert.deepEqual(third.ids, whole.ids.slice(22));
    second.prefix.free();
    memoryIsBack();
  });

  test('a prefix can be cut to what two prompts share', async () => {
    const { prefix } = await kept({ maxTokens: 40 });
    const other = `${PROMPT.slice(0, 10)}, long ago`;
    const ids = engine.tokenize(other);
    const shared = ids.findIndex((id, i) => id !== prefix.ids[i]);
    for (const length of [-1, prefix.length + 1, 1.5])
      assert.throws(() => prefix.truncate(length), failure('bad-argument', 'length', length));
    prefix.truncate(shared);
    assert.deepEqual(prefix.ids, ids.slice(0, shared));
    const fresh = await collect(other, { maxTokens: 20 });
    const reused = await collect(ids.slice(shared), { maxTokens: 20, prefix });
    assert.deepEqual(reused.ids, fresh.ids);
    prefix.free();
    memoryIsBack();
  });

  test('a cut into sealed keys, and into what follows a shared prefix, changes nothing', async () => {
    const random = seededRandom(3);
    const ids = Array.from({ length: 900 }, () => 3 + Math.floor(random() * 256));
    const dense = /** @type {const} */ ({ attention: 'dense', maxTokens: 12 });
    const first = await kept(dense, ids.slice(0, 400));
    const second = await kept({ ...dense, prefix: first.prefix }, ids.slice(first.prefix.length, 900));
    for (const [prefix, length] of /** @type {const} */ ([
      [second.prefix, 700],
      [second.prefix, first.prefix.length],
    ])) {
      // prettier-ignore
      prefix.truncate(length);
      const reused = await collect(ids.slice(0, 5), { ...dense, prefix });
      const fresh = await collect([...prefix.ids, ...ids.slice(0, 5)], dense);
      assert.deepEqual(reused.ids, fresh.ids);
    }
    assert.throws(() => second.prefix.truncate(first.prefix.length - 1), failure('bad-argument', 'length'));
    second.prefix.free();
    first.prefix.truncate(300);
    const reused = await collect(ids.slice(0, 5), { ...dense, prefix: first.prefix });
    assert.deepEqual(reused.ids, (await collect([...ids.slice(0, 300), ...ids.slice(0, 5)], dense)).ids);
    first.prefix.free();
    memoryIsBack();
  });

  test('the repetition penalty sees the tokens of the prefix', async () => {
    const sampler = { repetitionPenalty: 3 };
    const whole = await collect(PROMPT, { maxTokens: 20, sampler });
    const prefix = await engine.prefill(engine.tokenize(PROMPT).slice(0, -1));
    const continued = await collect(engine.tokenize(PROMPT).slice(-1), { maxTokens: 20, sampler, prefix });
    assert.deepEqual(continued.ids, whole.ids);
    prefix.free();
  });

  test('nothing is handed over by a generation that was left, aborted or failed', async () => {
    const onPrefix = () => assert.fail('handed over');
    for await (const _ of engine.generate(PROMPT, { maxTokens: 9, onPrefix })) break;
    const controller = new AbortController();
    await assert.rejects(async () => {
      for await (const _ of engine.generate(PROMPT, { maxTokens: 9, onPrefix, signal: controller.signal })) controller.abort();
    }, failure('aborted'));
    await assert.rejects(collect([0, 999_999], { onPrefix }), failure('bad-argument'));
    memoryIsBack();
  });
});

describe('stream', () => {
  test('gives the pieces of generate()', async () => {
    const pieces = [];
    for await (const piece of engine.generate(PROMPT, { maxTokens: 10 })) pieces.push(piece);
    const streamed = [];
    for await (const piece of engine.stream(PROMPT, { maxTokens: 10 })) streamed.push(piece);
    assert.deepEqual(streamed, pieces);
    memoryIsBack();
  });

  test('back-pressure: nothing is computed before it is read', async () => {
    let read = false;
    const reader = engine.stream(PROMPT, { maxTokens: 10, onPrefill: () => (read = true) }).getReader();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(read, false);
    memoryIsBack();
    assert.equal((await reader.read()).value?.index, 0);
    await reader.cancel();
    memoryIsBack();
  });

  test('cancel while the prompt is being read', async () => {
    const batches = /** @type {number[]} */ ([]);
    const ids = Array.from({ length: 250 }, (_, i) => 3 + (i % 200));
    /** @type {Promise<void> | undefined} */
    let cancelled;
    const onPrefill = (/** @type {number} */ done) => {
      batches.push(done);
      cancelled = reader.cancel();
    };
    const reader = engine.stream(ids, { onPrefill }).getReader();
    assert.deepEqual(await reader.read(), { value: undefined, done: true });
    await cancelled;
    assert.deepEqual(batches, [128], 'the second batch did not run');
    memoryIsBack();
  });

  test('a signal ends it with an error, and the engine goes on', async () => {
    const controller = new AbortController();
    const reader = engine.stream(PROMPT, { maxTokens: 10, signal: controller.signal }).getReader();
    await reader.read();
    controller.abort();
    await assert.rejects(reader.read(), failure('aborted'));
    memoryIsBack();
    await assert.rejects(engine.stream([], {}).getReader().read(), failure('bad-argument', 'prompt'));
    assert.equal((await collect(PROMPT, { maxTokens: 3 })).ids.length, 3);
  });

  test('prefill is aborted between batches', async () => {
    const controller = new AbortController();
    const ids = Array.from({ length: 250 }, (_, i) => 3 + (i % 200));
    await assert.rejects(engine.prefill(ids, { signal: controller.signal, onPrefill: () => controller.abort() }), failure('aborted'));
    memoryIsBack();
  });
});
