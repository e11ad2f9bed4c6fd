/** The tasks of the evidence: what is planted where, what is asked, and how answers are scored. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Context } from '../../web/generation/context.js';
import { compareDistributions, logProbability } from '../../web/generation/distributions.js';
import { Engine } from '../../web/index.js';
import { Section } from '../evidence/section.js';
import { ask } from '../evidence/sections/tasks.js';
import { aggregation } from '../evidence/tasks/aggregation.js';
import { chanceOf } from '../evidence/tasks/chance.js';
import { copying } from '../evidence/tasks/copying.js';
import { buildHaystack, depthOf, sentencesOf } from '../evidence/tasks/haystack.js';
import { allTasks, TASKS } from '../evidence/tasks/index.js';
import { needles } from '../evidence/tasks/needles.js';
import { split } from '../evidence/tasks/question.js';
import { describe } from '../evidence/tasks/report.js';
import { askQuestion } from '../evidence/tasks/score.js';
import { randomModel } from './helpers/random-model.js';
import { seededRandom } from './helpers/random.js';

/** A token a character. @param {string} text */
const encode = (text) => Array.from(text, (character) => Number(character.codePointAt(0)));
const decode = (/** @type {number[]} */ ids) => String.fromCodePoint(...ids);
const BOOK = new URL('../../demo/documents/alice.txt', import.meta.url);
const book = await readFile(BOOK, 'utf8');
const sentences = sentencesOf(book);
const COUNTS = { needles: 10, several: 2, chains: 3, people: 12, votes: 16, passages: 8 };
const LENGTH = 20_000;

/** @param {string} text @param {string} part */
const times = (text, part) => text.split(part).length - 1;

/** The questions of one task as text, and the haystack's. @param {string} task */
function asked(task) {
  const { haystack, questions } = allTasks(encode, seededRandom(5), sentences, LENGTH, COUNTS);
  const own = questions.filter((question) => question.task === task);
  const texts = own.map(({ cue, answer, depth }) => ({ cue: decode(cue).trimStart(), answer: decode(answer), depth }));
  return { haystack, text: decode(haystack.ids), questions: texts };
}

test('a haystack has the tokens that were asked for, its plants at their depths, and the text between them unbroken', () => {
  const plants = Array.from({ length: 41 }, (_, i) => ({ text: `Plant number ${i} stands here.`, depth: i / 40 }));
  const haystack = buildHaystack(encode, sentences, plants, LENGTH);
  assert.equal(haystack.ids.length, LENGTH);
  const text = decode(haystack.ids);
  const longest = Math.max(...sentences.slice(0, haystack.used).map(({ length }) => length));
  for (const { plant, at, tokens } of haystack.placed) {
    assert.equal(times(text, plant.text), 1);
    assert.equal(text.slice(at, at + tokens), ` ${plant.text}`);
    assert.ok(Math.abs(at - plant.depth * (LENGTH - tokens)) <= longest, `${plant.text} at ${at}`);
    assert.equal(depthOf(haystack, plant), at / (LENGTH - tokens));
  }
  assert.equal(haystack.placed.length, 41);
  assert.equal(haystack.placed[0].at, 0);
  assert.ok(LENGTH - (haystack.placed[40].at + haystack.placed[40].tokens) <= longest / 2);
  const real = haystack.runs.map(({ at, ids }) => {
    assert.deepEqual(haystack.ids.slice(at, at + ids.length), ids);
    return decode(ids);
  });
  assert.ok(real.length > 30 && ` ${sentences.join(' ')}`.startsWith(real.join('')));
});

test('a haystack that cannot be made is refused', () => {
  const plant = { text: 'x'.repeat(50), depth: 0 };
  assert.throws(() => buildHaystack(encode, sentences, [plant], 50), /51 tokens, the haystack 50/);
  assert.throws(() => buildHaystack(encode, ['Too short.'], [plant], 100), /ends 38 tokens too early/);
  assert.throws(() => needles(encode, seededRandom(1), 1000), /names, not 1000/);
  assert.throws(() => copying(encode, 3).ask(buildHaystack(encode, ['Nothing long enough.'], [], 21)), /0 passages of 24 tokens, not 3/);
});

test('a cue ends where a token ends', () => {
  const words = (/** @type {string} */ text) =>
    (text.match(/\s*\S+|\s+$/g) ?? []).map((word) => encode(word).reduce((a, b) => 31 * a + b, 7));
  assert.equal(split(words, 'a cue', ' and answer').answer.length, 2);
  assert.throws(() => split(words, 'a cu', 'e'), /does not end at a token/);
});

test('each needle is said once, at its depth, and its number nowhere else', () => {
  const { text, questions } = asked('needle');
  assert.equal(questions.length, 10);
  for (const [i, { cue, answer, depth }] of questions.entries()) {
    assert.match(answer, /^\d{5}$/);
    assert.equal(times(text, `${cue}${answer}.`), 1);
    assert.equal(times(text, answer), 1);
    assert.ok(Math.abs(depth - i / 9) < 0.05, `${depth} of needle ${i}`);
  }
});

test('of several needles of a name the one that is missing is asked for', () => {
  const { text, questions } = asked('several needles');
  assert.equal(questions.length, 6);
  for (const { cue, answer } of questions) {
    const [, name, first, second] = /** @type {RegExpExecArray} */ (/^The secret codes of the (\w+) are (\d{4}), (\d{4}) and $/.exec(cue));
    assert.equal(new Set([first, second, answer]).size, 3);
    for (const value of [first, second, answer]) assert.equal(times(text, `One of the secret codes of the ${name} is ${value}.`), 1);
    assert.equal(times(text, `secret codes of the ${name} is`), 3);
  }
});

test('variables lead to their value, which no sentence says of the last one', () => {
  const statements = new Map(Array.from(asked('needle').text.matchAll(/VAR (\w+) = (VAR )?(\w+)\./g), ([, name, , to]) => [name, to]));
  assert.equal(statements.size, 9);
  const parts = (/** @type {string} */ task) =>
    asked(task).questions.map(({ cue, answer }) => [cue.split(' ')[1], answer.split(' ').at(-1)]);
  for (const [name, to] of [...parts('variable: value'), ...parts('variable: link')]) assert.equal(statements.get(name), to);
  assert.equal(parts('variable: link').length, 6);
  const tracked = parts('variable: value through links');
  assert.equal(tracked.length, 3);
  for (const [name, value] of tracked) {
    const middle = statements.get(name);
    assert.equal(statements.get(statements.get(middle)), value);
    assert.notEqual(statements.get(middle), value);
  }
});

test('what is asked of the aggregation was said in half of the sentences, all over the text', () => {
  const { text, haystack, questions } = asked('aggregation');
  assert.equal(questions.length, 12);
  for (const { cue, answer } of questions) {
    const said = Array.from(text.matchAll(new RegExp(`${cue}( \\w+)\\.`, 'g')));
    assert.equal(said.length, 16);
    const count = (/** @type {string} */ thing) => said.filter(([, bought]) => bought === thing).length;
    const others = [...new Set(said.map(([, bought]) => bought))].filter((thing) => thing !== answer);
    assert.equal(count(answer), 8);
    assert.ok(others.length > 1 && others.every((thing) => count(thing) <= 4));
    const halves = said.filter(({ index }) => index < haystack.ids.length / 2).length;
    assert.ok(halves >= 6 && halves <= 10);
  }
  const random = seededRandom(1);
  assert.equal(new Set(aggregation(encode, random, 12, 4).plants.map((plant) => plant.depth)).size, 48);
});

test('passages that are copied are in the text, begin like nothing else, and are spread over it', () => {
  const { text, questions } = asked('copying');
  assert.equal(questions.length, 8);
  for (const { cue, answer } of questions) {
    assert.ok(text.includes(cue + answer));
    assert.equal(times(text, cue), 1);
  }
  assert.ok(questions[0].depth < 0.15 && questions[7].depth > 0.8);
  const repeated = 'The same beginning of a sentence and then one thing or another. ';
  const twice = buildHaystack(encode, [`${repeated}one.`, 'A sentence of its own that is long enough.', `${repeated}two.`], [{ text: 'Between.', depth: 0.5 }], 160); // prettier-ignore
  assert.ok(copying(encode, 1).ask(twice).every(({ cue }) => !decode(cue).includes('The same beginning'))); // prettier-ignore
});

test('chance is that of throwing a coin', () => {
  assert.equal(chanceOf(0, 0), 1);
  assert.equal(chanceOf(0, 7), 1);
  assert.equal(chanceOf(5, 5), 1 / 32);
  assert.ok(Math.abs(chanceOf(8, 10) - 56 / 1024) < 1e-12);
});

/** @type {Parameters<typeof randomModel>[0]} */
const MODEL = { arch: 'llama', tied: false, printable: true, metadata: { context_length: 1024 } };

test('answers are scored as plain prefill and generate() say', async () => {
  const engine = await Engine.load(randomModel(MODEL));
  const ids = (/** @type {string} */ text) => engine.tokenize(text, { addSpecial: false });
  const [before, cue] = [ids(sentences.slice(3, 8).join(' ').slice(0, 400)), ids('and then')];
  const prefix = new Context(engine.wasm, engine.model, engine.config, { capacity: before.length, kv: engine.kv });
  prefix.setAttention('dense');
  await prefix.prefill(before, { logits: 'none' });
  const greedy = async (/** @type {import('../../web/attention/params.js').EngineAttention} */ attention) => {
    const shared = await engine.prefill(before, { attention: 'dense' });
    const said = [];
    for await (const { id } of engine.generate(cue, { attention, prefix: shared, maxTokens: 6 })) said.push(id);
    return said;
  };
  const said = await greedy({ mode: 'dense' });
  const wrong = said.map((id, i) => (i === 2 || i === 4 ? id + 1 : id));
  const dense = /** @type {const} */ ({ prefix, attention: { mode: 'dense' } });
  const question = (/** @type {number[]} */ answer) => ({ task: 'any', cue, answer, depth: 0 });

  for (const answer of [said, wrong]) {
    const { answer: own, reference } = askQuestion(engine, dense, question(answer));
    const plain = await Promise.all(answer.map((_, i) => engine.logits([...before, ...cue, ...answer.slice(0, i)])));
    const logP = plain.map((logits, i) => logProbability(logits, answer[i])).reduce((a, b) => a + b) / answer.length;
    assert.ok(Math.abs(own.logProbability - logP) < 1e-2, `${own.logProbability}, plain ${logP}`);
    for (const [i, logits] of plain.entries()) assert.ok(compareDistributions(logits, reference.logits[i]).kl < 1e-3);
    assert.deepEqual(reference.greedy, said);
    assert.equal(own.right, answer === said);
    assert.ok(own.same && own.kl === 0);
    assert.ok(answer === said ? own.tokensRight === 1 : own.tokensRight < 1);
    assert.equal(own.keysExact, own.keysVisible);

    const all = askQuestion(engine, { prefix, attention: { strength: 'exact', r: 1000, denseBelow: 0 } }, question(answer), reference);
    assert.ok(all.answer.kl < 1e-6 && all.answer.same && Math.abs(all.answer.logProbability - own.logProbability) < 1e-3);

    const one = /** @type {const} */ ({ strength: 'exact', r: 1, denseBelow: 0 });
    const other = askQuestion(engine, { prefix, attention: one }, question(answer), reference).answer;
    assert.ok(other.kl > 0.01 && other.keysExact < other.keysVisible / 100);
    assert.equal(other.same, String(await greedy(one)) === String(said));
  }
  assert.equal(prefix.shared, false);
  engine.close();
});

test('the section runs from its question to its tables', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  const [model, file] = [join(folder, 'model.gguf'), join(folder, 'book.txt')];
  await writeFile(model, randomModel(MODEL));
  await writeFile(file, book);
  /** @type {import('../evidence/sections/tasks.js').Sizes} */
  const sizes = {
    contexts: [
      { length: 1000, read: 'both' },
      { length: 1200, read: 'hsr', rope: { scaling: 'yarn', factor: 2 } },
    ],
    counts: { needles: 2, several: 1, chains: 1, people: 2, passages: 2 },
    tokensPerVote: 250,
    exact: 100,
    certified: 80,
    slowUpTo: 1000,
  };
  const results = await ask({ quick: true, model, file, log: () => undefined }, sizes);
  const select = (/** @type {Partial<typeof results[0]>} */ wanted) =>
    results.filter((result) => Object.entries(wanted).every(([field, value]) => result[/** @type {'way'} */ (field)] === value));
  assert.equal(select({ way: 'dense' }).length, 2 * (2 + 3 + 1 + 2 + 1 + 2 + 2));
  assert.deepEqual(new Set(results.map(({ task }) => task)), new Set(TASKS));
  for (const { answer, way } of results) {
    assert.ok(answer.logProbability < 0 && answer.kl >= 0);
    // The default is dense below 2048 keys.
    if (way === 'dense' || way === 'fast (default)') assert.ok(answer.kl === 0 && answer.same);
  }
  assert.ok(select({ way: 'exact r = 64' }).every(({ length, answer }) => length === 1000 && answer.kl > 0));
  assert.equal(select({ way: 'certified 0.1', task: 'needle' }).length, 1);
  assert.equal(select({ way: 'fast after hsr prefill' }).length, 13);
  assert.ok(select({ way: 'no document' }).every(({ answer }) => answer.kl > 0));

  const section = new Section();
  describe(section, results, sizes);
  const tables = section.parts.flatMap((part) => (part.kind === 'table' ? [part] : []));
  assert.deepEqual(tables.map(({ rows }) => rows.length), [14, 14, 14, 14, 2, 5, 48]); // prettier-ignore
  for (const { head, rows } of tables) for (const row of rows) assert.equal(row.length, head.length);
  assert.ok(section.parts.some((part) => part.kind === 'chart' && part.svg.includes('exact r = 64')));
  assert.match(section.against.join(), /The model itself, with dense attention, answers less than half/);
});

test('what speaks against a way is what is more than chance', () => {
  /** @param {boolean} right @param {number} logP */
  const answer = (right, logP) => ({
    right,
    logProbability: logP,
    tokensRight: right ? 1 : 0,
    kl: 0.1,
    same: right,
    keysExact: 1,
    keysVisible: 4,
  });
  /** @param {string} way @param {(i: number, task: string) => ReturnType<typeof answer>} own */
  const results = (way, own) =>
    TASKS.flatMap((task) =>
      Array.from({ length: 10 }, (_, i) => ({
        where: '100',
        length: 100,
        task,
        depth: i / 9,
        way,
        answer: own(i, task),
        dense: answer(true, -1),
      })),
    );
  const section = new Section();
  describe(
    section,
    [
      ...results('dense', () => answer(true, -1)),
      ...results('no document', () => answer(false, -9)),
      ...results('good', (i, task) => answer(i !== 3 || task !== 'needle', i % 2 ? -1.1 : -0.9)),
      ...results('faint', () => answer(true, -1.5)),
      ...results('bad', (i) => answer(i === 0, -2)),
    ],
    { contexts: [], counts: COUNTS, tokensPerVote: 1, exact: 1, certified: 1, slowUpTo: 1 },
  );
  assert.equal(section.against.length, 3);
  assert.match(
    section.against[0],
    /^faint gives the right answers a lower probability .*all tasks \(-0.5 nats a token\), needle \(-0.5 nats a token\)/,
  );
  assert.match(
    section.against[1],
    /^bad answers fewer questions rightly .*all tasks \(63 of 70 lost, 0 won\), needle \(9 of 10 lost, 0 won\)/,
  );
  assert.match(section.against[2], /^bad gives the right answers a lower/);
});
