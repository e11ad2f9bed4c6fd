/** Prompts about documents: what is read of them fits, and every question continues it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { readable, reserveOf, turnPrompt } from '../../demo/prompt.js';
import { documentPrompt, Engine, questionTokens } from '../../web/index.js';
import { CHAT_TEMPLATE, randomModel } from './helpers/random-model.js';

const TEXT = 'Anna went to Rome. Ben stayed at home, with 2 cats \u2013 and a dog. '.repeat(20);
/** @type {Engine} */
let engine;

before(async () => {
  const keys = { 'tokenizer.chat_template': CHAT_TEMPLATE };
  engine = await Engine.load(randomModel({ arch: 'llama', metadata: { context_length: 4096 }, keys }));
});
after(() => engine.close());

/** This vocabulary has no token for spaces. @param {number[]} ids */
const plain = (ids) => engine.detokenize(ids, { skipSpecial: true }).replaceAll('\u2581', ' ');

test('a document that fits is read whole, and any question about it continues it', async () => {
  const prompt = await documentPrompt(engine, TEXT, { reserve: 100 });
  assert.equal(prompt.text, TEXT);
  assert.equal(plain(prompt.ids.slice(prompt.start)).trim(), TEXT.trim());
  for (const question of ['Where is Anna?', 'a', 'b', '?']) {
    const ids = await questionTokens(engine, prompt, [], question);
    assert.deepEqual(ids.slice(0, prompt.ids.length), prompt.ids);
    assert.ok(ids.length > prompt.ids.length);
  }
});

test('of a longer one as much is read as leaves the reserve', async () => {
  const longest = engine.tokenize(TEXT).length;
  for (let ctx = 200; ctx < 300; ctx++) {
    const { text, ids, documentTokens, start } = await readable(engine, TEXT, { ctx, system: '' });
    assert.equal(documentTokens, longest);
    assert.ok(TEXT.startsWith(text) && text.length < TEXT.length);

    assert.match(TEXT.slice(text.length), /^\s/, 'no word is cut in two');
    const { length } = await questionTokens(engine, { text }, [], 'a');
    const next = /^\s+\S+/.exec(TEXT.slice(text.length))?.[0];
    const longer = await questionTokens(engine, { text: text + next }, [], 'a');
    const room = ctx - reserveOf(ctx);
    assert.ok(length <= room && longer.length > room, `${length} of ${room} tokens are taken`);
    assert.equal(plain(ids.slice(start)).trim(), text);
  }
  const limited = await readable(engine, TEXT, { ctx: 4096, system: '', limit: 50 });
  assert.ok(limited.ids.length - limited.start <= 51 && limited.ids.length - limited.start >= 30);
});

test('the system prompt comes first, where there is one', async () => {
  const without = await readable(engine, TEXT, { ctx: 1000, system: '' });
  const with_ = await readable(engine, TEXT, { ctx: 1000, system: 'Be brief.' });
  assert.match(plain(with_.ids), /^ ?\[system\]Be brief\./);
  assert.doesNotMatch(plain(without.ids), /system/);
});

test('turns are added up, and the earliest are left out where they do not fit', async () => {
  const document = await readable(engine, TEXT, { ctx: 600, system: '' });
  const turns = Array.from({ length: 4 }, (_, i) => ({ question: `Question ${i}?`, answer: `Answer number ${i}.` }));
  const few = await turnPrompt(engine, document, turns.slice(0, 2), 'And then?', { ctx: 600, maxTokens: 32 });
  assert.equal(few.forgotten, 0);
  assert.match(plain(few.ids), /\[user\]Read this text:[^]*Question: Question 0\?\n\[assistant\]Answer number 0\.\n\[user\]Question 1/);
  const many = await turnPrompt(engine, document, turns, 'And then?', { ctx: 600, maxTokens: 32 });
  assert.ok(many.forgotten > 0 && many.forgotten < 4);
  assert.ok(many.ids.length <= 600 - 32);
  assert.deepEqual(many.ids.slice(0, document.ids.length), document.ids);
  const unanswered = await turnPrompt(engine, document, [{ question: 'Stopped?', answer: '' }], 'And then?', { ctx: 600, maxTokens: 32 });
  assert.deepEqual(unanswered.ids, (await turnPrompt(engine, document, [], 'And then?', { ctx: 600, maxTokens: 32 })).ids);
});

test('what cannot be read is refused by name', async () => {
  await assert.rejects(documentPrompt(engine, ' \n', { reserve: 10 }), { code: 'bad-argument', field: 'document' });
  await assert.rejects(documentPrompt(engine, TEXT, { reserve: 60, ctx: 100 }), { code: 'context-full', field: 'ctx', value: 100 });
});
