/** `halfspace serve --snapshots`: prefixes that left memory come back, after a restart too; and nothing wrong with them fails a request. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import OpenAI from 'openai';

import { Engine, inspectSnapshot } from '../../web/index.js';
import { Server } from '../../web/server/server.js';
import { openFileStore } from '../../web/stores/files.js';
import { FaultPlan } from '../suites/faults.js';
import { failure } from './helpers/failure.js';
import { faultyFs } from './helpers/faulty-fs.js';
import { answerOf, ask, cachedOf, chatModel, contentOf, health, idle, MODEL, servingOn, talk } from './helpers/serving.js';

const CLI = fileURLToPath(new URL('../../web/cli.js', import.meta.url));
const FILE = chatModel();
const STORY = 'The rabbit took a watch out of its pocket, looked at it, and hurried on. '.repeat(3);
const OTHER = 'A caterpillar sat on the top of a mushroom, and took no notice of anyone at all. '.repeat(3);
const NONE = { entries: 0, bytes: 0 };
const ONE = { entries: 1, bytes: 2 ** 30 };
/** @type {Engine} */
let engine;
let folder = '';
/** @type {string[]} */
let warnings = [];

before(async () => {
  engine = await Engine.load(FILE);
  await engine.logits('a');
});
beforeEach(async () => {
  if (folder !== '') await rm(folder, { recursive: true });
  folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  warnings = [];
});
after(async () => {
  engine.close();
  await rm(folder, { recursive: true });
});

/**
 * @param {Partial<import('../../web/server/server.js').ServerOptions>} options
 * @param {Parameters<typeof servingOn>[2]} body
 * @param {{on?: Engine, store?: Parameters<typeof openFileStore>[1]}} [more]
 */
const serving = async (options, body, { on = engine, store = {} } = {}) =>
  servingOn(on, { snapshots: await openFileStore(folder, store), onWarning: (line) => warnings.push(line), ...options }, body);

/**
 * Asks, waits for what is saved, and checks the answer against the engine's own.
 * @param {OpenAI} client
 * @param {Server} server
 * @param {string[]} said
 */
async function asked(client, server, ...said) {
  const answer = await ask(client, talk(...said));
  await idle(server);
  assert.equal(contentOf(answer), await answerOf(engine, talk(...said), 24));
  return { text: contentOf(answer), cached: cachedOf(answer), total: /** @type {number} */ (answer.usage?.total_tokens) };
}

const paths = async () => (await readdir(folder)).map((name) => join(folder, name));
const savedNow = async (/** @type {Server} */ server) => (await health(server)).saved;

/** Has a server save one prefix, of a chat that begins with STORY. */
const saveOne = () => serving({}, async (client, server) => void (await asked(client, server, STORY)));

test('what memory has no room for comes back', () =>
  serving({ prefixes: ONE }, async (client, server) => {
    assert.deepEqual(await savedNow(server), { entries: 0, bytes: 0 });
    const story = await asked(client, server, STORY);
    assert.equal((await savedNow(server)).entries, 0, 'it is held');
    const other = await asked(client, server, OTHER);
    assert.deepEqual([story.cached, other.cached], [0, 0]);
    const [path, ...more] = await paths();
    assert.deepEqual([await savedNow(server), more], [{ entries: 1, bytes: (await stat(path)).size }, []]);

    const second = await asked(client, server, STORY, story.text, 'And then?');
    assert.equal(second.cached, story.total - 1, 'all that was read');
    const third = await asked(client, server, STORY, story.text, 'And then?', second.text, 'And then?');
    assert.equal(third.cached, second.total - 1, 'what is held is longer');
    assert.deepEqual(warnings, []);
  }));

test('a stream goes on from a saved prefix, and without memory for any', () =>
  serving({ prefixes: NONE }, async (client, server) => {
    const story = await asked(client, server, STORY);
    const said = talk(STORY, story.text, 'And then?');
    let text = '';
    let cached = 0;
    for await (const chunk of await ask(client, said, { stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta.content ?? '';
      cached = chunk.usage?.prompt_tokens_details?.cached_tokens ?? cached;
    }
    assert.deepEqual([text, cached], [await answerOf(engine, said, 24), story.total - 1]);
    await idle(server);
    assert.equal(server.prefixes.size, 0);
    assert.equal((await savedNow(server)).entries, 2, 'the first, and what continued it');
  }));

test('after a restart, in another engine; and another question about the same text has the text', async () => {
  let story = { text: '', total: 0 };
  await serving({}, async (client, server) => {
    story = await asked(client, server, STORY);
    await asked(client, server, OTHER);
  });
  assert.equal((await paths()).length, 2);
  const again = await Engine.load(FILE, { threads: 2 });
  await again.logits('a');
  await serving({}, async (client, server) => {
    assert.equal((await savedNow(server)).entries, 2);
    const second = await asked(client, server, STORY, story.text, 'And then?');
    assert.equal(second.cached, story.total - 1);
    const cut = await asked(client, server, `${STORY}Why?`);
    assert.equal(cut.cached, engine.chatTokens(talk(STORY)).length - '[assistant]'.length, 'the snapshot was cut');
  }, { on: again }); // prettier-ignore
  again.close();
  assert.deepEqual(warnings, []);
});

test('after a restart a conversation can go on from each of its turns', async () => {
  const said = [STORY.repeat(3)];
  /** @type {number[]} */
  const totals = [];
  await serving({}, async (client, server) => {
    for (const next of [OTHER, STORY, 'Who?']) {
      const { text, total } = await asked(client, server, ...said);
      said.push(text, next);
      totals.push(total);
    }
    assert.equal(server.prefixes.size, 3);
  });
  const headers = await Promise.all((await paths()).map((path) => inspectSnapshot(path)));
  assert.ok(
    headers.some(({ layout }) => layout[0].length > 1),
    'what continues another is saved with it',
  );
  for (let turns = 1; turns <= 3; turns++) {
    await serving({ prefixes: NONE }, async (client, server) => {
      const { cached } = await asked(client, server, ...said.slice(0, 2 * turns), 'Where was that?');
      assert.ok(cached >= totals[turns - 1] - 1, `${cached} after ${turns}`);
    });
  }
  assert.deepEqual(warnings, []);
});

test('short ones are not saved, and none is saved twice', async () => {
  await serving({ prefixes: NONE }, async (client, server) => {
    await asked(client, server, 'Who?');
    for (let i = 0; i < 3; i++) await asked(client, server, STORY);
    assert.equal((await savedNow(server)).entries, 1);
  });
  assert.equal((await paths()).length, 1);
});

test('where the disk has room for two, the third one saved replaces the one not used for longest, restarts included', async () => {
  const texts = [STORY, OTHER, 'Off with their heads! The Queen had only one way of settling all difficulties. '.repeat(3)];
  await serving({ prefixes: NONE }, async (client, server) => {
    for (const text of texts.slice(0, 2)) await asked(client, server, text);
  });
  const sizes = await Promise.all((await paths()).map(async (path) => (await stat(path)).size));
  const store = { maxBytes: Math.floor(2.5 * Math.max(...sizes)) };
  await serving({ prefixes: NONE }, async (client, server) => {
    assert.ok((await asked(client, server, STORY)).cached > 0, 'used later than the other');
  }, { store }); // prettier-ignore
  await serving({ prefixes: NONE }, async (client, server) => {
    await asked(client, server, texts[2]);
    assert.equal((await savedNow(server)).entries, 2);
    assert.equal((await paths()).length, 2);
    assert.ok((await asked(client, server, STORY)).cached > 0);
    assert.equal((await asked(client, server, OTHER)).cached, 0);
  }, { store }); // prettier-ignore
  assert.deepEqual(warnings, []);
});

test('damage that is found at the start, and later, costs a line and the file', async () => {
  /** @type {[string, (bytes: Uint8Array) => number, number][]} */
  const damages = [
    ['the header', () => 100, 0],
    ['the magic', () => 0, 0],
    ['a chunk', (bytes) => bytes.length - 10_000, 1],
  ];
  for (const [what, at, found] of damages) {
    await saveOne();
    const [path] = await paths();
    const bytes = await readFile(path);
    bytes[at(bytes)] ^= 1;
    await writeFile(path, bytes);
    await serving({ prefixes: NONE }, async (client, server) => {
      assert.deepEqual([(await savedNow(server)).entries, warnings.length], [found, 1 - found], what);
      assert.equal((await asked(client, server, `${STORY}Why?`)).cached, 0);
      const names = await readdir(folder);
      assert.equal(names.length, 1, 'what was just answered');
      assert.ok(!path.endsWith(names[0]));
      assert.ok((await asked(client, server, `${STORY}Who?`)).cached > 0);
    });
    assert.equal(warnings.splice(0).filter((line) => /^prefix-\S+ is damaged, and deleted: [^\n]+$/.test(line)).length, 1, what);
    for (const left of await paths()) await rm(left);
  }
});

test('one that was cut short or deleted while the server runs', async () => {
  await saveOne();
  const [path] = await paths();
  await serving({}, async (client, server) => {
    await truncate(path, 20_000);
    assert.equal((await asked(client, server, STORY)).cached, 0);
    assert.deepEqual([await paths(), warnings.length], [[], 1]);
  });
  const [again] = await paths();
  await serving({}, async (client, server) => {
    await rm(again);
    assert.equal((await asked(client, server, STORY)).cached, 0);
    assert.deepEqual([(await savedNow(server)).entries, warnings.length], [0, 1], 'another process may delete it');
  });
});

test('snapshots of other models, settings and longer contexts are left alone', async () => {
  await saveOne();
  const [first] = await paths();
  const others = [
    await Engine.load(chatModel({ context_length: 4095 })),
    await Engine.load(FILE, { kv: 'f32' }),
    await Engine.load(FILE, { rope: { theta: 20_000 } }),
    await Engine.load(FILE, { ctx: 200 }),
  ];
  for (const on of others) {
    await on.logits('a');
    await serving({ prefixes: NONE }, async (client, server) => {
      assert.equal((await savedNow(server)).entries, 0);
      const said = talk(on.ctx < 300 ? STORY.slice(0, 100) : STORY);
      const answer = await ask(client, said);
      assert.deepEqual([cachedOf(answer), contentOf(answer)], [0, await answerOf(on, said, 24)]);
    }, { on }); // prettier-ignore
    on.close();
  }
  assert.equal((await paths()).length, 1 + others.length);
  assert.ok((await paths()).includes(first));
  await serving({}, async (client, server) => {
    // The one of the context of 200 tokens fits this engine as well.
    assert.equal((await savedNow(server)).entries, 2);
    assert.ok((await asked(client, server, `${STORY}Why?`)).cached > 0);
  });
  assert.deepEqual(warnings, []);
});

test('what cannot be saved costs a line, no request', async () => {
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  /** @type {[Parameters<typeof openFileStore>[1], RegExp][]} */
  const stores = [
    [{ maxBytes: 10_000 }, /more than 10000 bytes/],
    [{ fs: faultyFs(new FaultPlan(4, () => full)) }, /no space left/],
  ];
  for (const [store, reason] of stores) {
    await serving({ prefixes: NONE }, async (client, server) => {
      assert.equal((await asked(client, server, STORY)).cached, 0);
      assert.deepEqual([await savedNow(server), await paths(), warnings.length], [{ entries: 0, bytes: 0 }, [], 1]);
      assert.match(warnings[0], /^a prefix of \d+ tokens is not saved: [^\n]+$/);
      assert.match(warnings[0], reason);
      assert.equal((await asked(client, server, OTHER)).cached, 0);
    }, { store }); // prettier-ignore
    warnings = [];
    for (const left of await paths()) await rm(left);
  }
});

test('when memory is short, what is held is saved, and then makes room', async () => {
  const small = await Engine.load(FILE, { maxMemoryBytes: 11 * 2 ** 20 });
  await small.logits('a');
  await serving({}, async (client, server) => {
    for (let i = 0; i < 12; i++) await ask(client, talk(`${i} ${STORY}`));
    await idle(server);
    assert.ok(server.prefixes.size < 12 && (await savedNow(server)).entries > 0, 'some had to go');
    assert.ok((await asked(client, server, `0 ${STORY}Why?`)).cached > 64);
    await assert.rejects(ask(client, talk('a'.repeat(4000)), { max_tokens: 90 }), { status: 400, code: 'out_of_memory' });
    assert.equal(server.prefixes.size, 0);
    assert.ok((await asked(client, server, `11 ${STORY}Why?`)).cached > 64);
  }, { on: small }); // prettier-ignore
  small.close();
  assert.deepEqual(warnings, []);
});

test('a folder with other files is not taken for one of snapshots', async () => {
  for (const content of ['a letter, that must not be deleted to make room', 'short']) {
    const path = join(folder, 'letter.txt');
    await writeFile(path, content);
    const snapshots = await openFileStore(folder);
    await assert.rejects(Server.start(engine, { model: MODEL, port: 0, snapshots }), failure('bad-argument', 'snapshots', 'letter.txt'));
    assert.equal(await readFile(path, 'utf8'), content);
  }
});

test('the command line: saved at a signal, resumed by the next process', async () => {
  const place = await mkdtemp(join(tmpdir(), 'halfspace-'));
  const model = join(place, 'tiny.gguf');
  await writeFile(model, FILE);
  /** @param {string[]} said */
  const run = async (...said) => {
    const args = ['--model', model, '--port', '0', '--json', '--snapshots', folder, '--snapshots-bytes', '10000000'];
    const child = spawn(process.execPath, [CLI, 'serve', ...args]);
    let stderr = '';
    child.stderr.on('data', (part) => (stderr += part));
    const ended = once(child, 'close');
    const [line] = await once(child.stdout, 'data');
    const answer = await ask(new OpenAI({ apiKey: 'any', baseURL: JSON.parse(line).url, maxRetries: 0 }), talk(...said));
    child.kill('SIGTERM');
    const [status] = await ended;
    assert.deepEqual([status, stderr], [0, '']);
    return answer;
  };
  const first = await run(STORY);
  assert.equal((await paths()).length, 1);
  const second = await run(STORY, contentOf(first), 'And then?');
  assert.equal(cachedOf(second), /** @type {number} */ (first.usage?.total_tokens) - 1);
  assert.equal(contentOf(second), await answerOf(engine, talk(STORY, contentOf(first), 'And then?'), 24));
  await rm(place, { recursive: true });
});
