/** `halfspace snapshot` on the real model: save, add, load, inspect, verify, and what a failure leaves on the disk. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Engine } from '../../web/index.js';
import { runCli } from './helpers/cli.js';
import { logitsOf } from './helpers/logits.js';
import { modelPath } from './helpers/model.js';

const BOOK = fileURLToPath(new URL('../../demo/documents/alice.txt', import.meta.url));
let model = '';
let folder = '';

before(async () => {
  model = await modelPath();
  folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
});

/** @param {string[]} args */
const run = (...args) => runCli('snapshot', ...args);

/** @param {string[]} args @returns {Promise<any>} */
async function json(...args) {
  const { status, stdout, stderr } = await run(...args, '--json');
  assert.equal(status, 0, stderr);
  return JSON.parse(/** @type {string} */ (stdout.trimEnd().split('\n').at(-1)));
}

test('a context is saved, added to, and goes on in another process as it would have in the first', async () => {
  const [first, second, more] = ['first', 'second', 'more.txt'].map((name) => join(folder, name));
  await writeFile(more, ' Then the Queen said that the croquet was over, and everybody went home.');
  const saved = await json('save', '--model', model, '--file', BOOK, '--ctx', '400', '--out', first);
  assert.deepEqual([saved.tokens, saved.base], [400, null]);
  assert.ok(saved.prefillMs > 0 && saved.saveMs > 0 && saved.bytes === (await readFile(first)).length);
  const added = await json('save', '--model', model, '--file', more, '--base', first, '--out', second);
  assert.ok(added.base === saved.hash && added.tokens > 410 && added.bytes < saved.bytes / 2);
  assert.deepEqual((await readdir(folder)).sort(), ['first', 'more.txt', 'second'], 'no part of a file is left');

  const answer = await json('load', first, second, '--model', model, '--prompt', ' And Alice', '--max-tokens', '6', '--threads', '2');
  assert.deepEqual([answer.hash, answer.tokens], [added.hash, added.tokens]);
  const engine = await Engine.load(model);
  const book = await engine.prefill(engine.tokenize(await readFile(BOOK, 'utf8')).slice(0, 400));
  const prefix = await engine.prefill(await readFile(more, 'utf8'), { prefix: book });
  const ids = [];
  for await (const { id } of engine.generate(' And Alice', { prefix, maxTokens: 6 })) ids.push(id);
  assert.deepEqual(answer.ids, ids);
  const back = await engine.resume([first, second]);
  for (const attention of /** @type {const} */ (['hsr', 'dense', { denseBelow: 0, denseAbove: 1 }]))
    assert.equal(await logitsOf(engine, back, attention), await logitsOf(engine, prefix, attention));
  engine.close();
  assert.ok(answer.resumeMs < (saved.prefillMs + added.prefillMs) / 5, `${answer.resumeMs} ms`);

  const told = await json('inspect', first);
  assert.deepEqual([told.kind, told.tokens, told.kv, told.parts, told.sealed, told.shape.layers], ['context', 400, 'q8', 1, 256, 30]);
  const verified = await json('verify', first, second);
  assert.deepEqual([verified.hash, verified.base, verified.tokens], [added.hash, saved.hash, added.tokens]);
});

test('damage, a wrong order and a full disk are one line and status 1', async () => {
  const [first, second, broken] = ['first', 'second', 'broken'].map((name) => join(folder, name));
  const bytes = await readFile(first);
  bytes[bytes.length >> 1] ^= 1;
  await writeFile(broken, bytes);
  const cases = /** @type {[string[], RegExp][]} */ ([
    [['verify', broken], /^halfspace: snapshot, record \d+ at byte \d+: the checksum of its payload is wrong\n$/],
    [['load', broken, '--model', model], /record \d+ at byte \d+/],
    [['verify', second], /base must be none/],
    [['load', first, '--model', model, '--kv', 'f32'], /kv of the snapshot is q8, of the engine f32/],
    [['inspect', BOOK], /magic must be that of a snapshot/],
    [['verify', join(folder, 'nothing')], /cannot open/],
    [['save', '--model', model, '--file', BOOK, '--ctx', '20', '--out', '/dev/null/x'], /cannot write/],
    [['save', '--model', model, '--file', BOOK, '--ctx', '20', '--out', join(folder, 'gone', 'x')], /cannot write/],
  ]);
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = await run(...args);
    assert.deepEqual([status, stdout], [1, ''], args.join(' '));
    assert.match(stderr, message);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  }
});
