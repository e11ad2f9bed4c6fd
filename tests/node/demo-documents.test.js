/** The demo's documents: the shipped ones and their snapshots, and the store of the user's own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Library, MAX_DOCUMENTS } from '../../demo/library.js';
import { readable, shownPart } from '../../demo/prompt.js';
import { prepareSnapshots } from '../../demo/shipped.js';
import { shippedDocuments } from '../../demo/snapshots.js';
import { MAX_TEXT_BYTES, readTextFile, titleOf } from '../../demo/texts.js';
import { Engine, openMemoryStore } from '../../web/index.js';
import { failure } from './helpers/failure.js';
import { CHAT_TEMPLATE, randomModel } from './helpers/random-model.js';

const run = promisify(execFile);
const demo = (/** @type {string} */ path) => fileURLToPath(new URL(`../../demo/${path}`, import.meta.url));
let folder = '';
let model = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-documents-'));
  model = join(folder, 'tiny.gguf');
  await writeFile(model, randomModel({ arch: 'llama', keys: { 'tokenizer.chat_template': CHAT_TEMPLATE } }));
});
after(() => rm(folder, { recursive: true, force: true }));

/** @param {string} file @param {number} tokens */
async function make(file, tokens) {
  const args = [demo('snapshots.js'), '--model', file, '--tokens', String(tokens), '--folder', join(folder, 'snapshots')];
  const { stdout } = await run(process.execPath, args);
  /** @type {import('../../demo/snapshots.js').Progress[]} */
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return lines;
}

test('shipped documents have their end, and three questions', async () => {
  for (const { file, end, questions, language } of await shippedDocuments()) {
    const text = await readFile(demo(`documents/${file}`), 'utf8');
    const shown = shownPart(text, end);
    assert.ok(text.includes(end) && shown.length > 20_000 && shown.length < text.length, file);
    assert.deepEqual([questions.length, language], [3, 'en']);
  }
});

test('snapshots are made once, of each model, text and length, and are of the prompt that the page asks for', async () => {
  const first = await make(model, 60);
  const made = first.flatMap(({ snapshot }) => snapshot ?? []);
  assert.equal(made.length, 3);
  assert.ok(first.some(({ done, total }) => done !== undefined && done === total));
  assert.deepEqual(
    (await make(model, 60)).map(({ snapshot }) => snapshot),
    made,
    'nothing is read again',
  );
  const shorter = (await make(model, 50)).flatMap(({ snapshot }) => snapshot ?? []);
  for (const [i, { file }] of shorter.entries()) assert.notEqual(file, made[i].file);

  const engine = await Engine.load(model);
  const [{ file, end }] = await shippedDocuments();
  const { ctx, limit, tokens, fingerprint, kv } = made[0];
  assert.deepEqual([fingerprint, kv, limit], [engine.config.fingerprint, engine.kv, 60]);
  const { ids } = await readable(engine, shownPart(await readFile(demo(`documents/${file}`), 'utf8'), end), { ctx, limit, system: '' });
  const prefix = await engine.resume(join(folder, 'snapshots', made[0].file));
  assert.deepEqual(prefix.ids, ids);
  assert.equal(prefix.length, tokens);
  engine.close();
});

test('a model without a chat template: the list says why there are no snapshots', async () => {
  const plain = join(folder, 'plain.gguf');
  await writeFile(plain, randomModel({ arch: 'llama' }));
  const { done } = await prepareSnapshots(folder, plain, { tokens: 50 });
  await assert.rejects(done, /no snapshots of the documents: The model has no chat template/);
  const list = JSON.parse(await readFile(join(folder, 'documents.json'), 'utf8'));
  assert.equal(list.length, 3);
  for (const { failed, preparing, snapshot } of list) {
    assert.match(failed, /no chat template/);
    assert.deepEqual([preparing, snapshot], [undefined, undefined]);
  }
});

const made = { kv: /** @type {const} */ ('q8'), system: '', ctx: 100, tokens: 7 };
const bytes = (/** @type {number} */ n) => new Blob([new Uint8Array(n)]).stream();

test('own documents come back from the store, with their snapshots', async () => {
  const store = openMemoryStore();
  const library = new Library(store);
  const { own, unsaved } = await library.add('Notes', 'Anna \u2013 Ben');
  assert.equal(unsaved, undefined);
  await library.keep(own, bytes(1000), made);
  const again = new Library(store);
  await again.load();
  assert.deepEqual(again.list, library.list);
  assert.deepEqual([again.list[0].text, again.list[0].made], ['Anna \u2013 Ben', made]);
  assert.ok(again.list[0].bytes > 1000);
  const source = await again.open(again.list[0]);
  assert.equal(source.size, 1000);
  await again.delete(again.list[0]);
  assert.deepEqual([again.list, await store.list()], [[], []]);
});

test('what was evicted is not listed: a snapshot alone goes, a text alone is to be read again', async () => {
  const store = openMemoryStore();
  const library = new Library(store);
  const [a, b] = [(await library.add('A', 'a')).own, (await library.add('B', 'b')).own];
  for (const own of [a, b]) await library.keep(own, bytes(100), made);
  await store.delete(`${a.id}.json`);
  await store.delete(`${b.id}.snapshot`);
  const again = new Library(store);
  await again.load();
  assert.deepEqual(
    again.list.map(({ title, made: has }) => [title, has]),
    [['B', undefined]],
  );
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    [`${b.id}.json`],
  );
});

test('without room, or without a store, documents are kept in memory, and it is told', async () => {
  const { own, unsaved } = await new Library(openMemoryStore({ maxBytes: 10 })).add('A', 'text');
  assert.deepEqual([own.bytes, unsaved?.code], [0, 'quota']);
  const library = new Library(undefined);
  await library.load();
  const added = await library.add('A', 'text');
  assert.deepEqual([library.list, added.unsaved?.code], [[added.own], 'unsupported']);
  await assert.rejects(library.keep(added.own, bytes(1), made), { code: 'unsupported' });
  await library.delete(added.own);
  assert.deepEqual(library.list, []);
});

test('texts have limits', async () => {
  const library = new Library(openMemoryStore());
  await assert.rejects(library.add('A', ' '), failure('bad-argument', 'text'));
  await assert.rejects(library.add('A', '\u00e9'.repeat(MAX_TEXT_BYTES / 2 + 1)), failure('bad-argument', 'text'));
  for (let i = 0; i < MAX_DOCUMENTS; i++) await library.add('A', 'text');
  await assert.rejects(library.add('A', 'text'), failure('bad-argument', 'documents'));
  await assert.rejects(readTextFile(new File(['a\0b'], 'a.txt')), failure('bad-argument', 'file'));
  assert.deepEqual(await readTextFile(new File(['\ufeffText'], 'A.TXT')), { title: 'A.TXT', text: 'Text' });
  assert.equal(titleOf(`\n  ${'word '.repeat(30)}`).length, 60);
});
