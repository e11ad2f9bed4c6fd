/** An engine in a worker against one that is here: the same answers, statistics and errors; what only a worker has, its end. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Engine as Here } from '../../web/engine.js';
import { openFileStore } from '../../web/stores/files.js';
import { openMemoryStore } from '../../web/stores/memory.js';
import { absolute, Engine } from '../../web/worker-engine.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';
import { collectWorkers, withWorkers } from './helpers/workers.js';

const TEXT = 'The rabbit-hole went straight on like a tunnel for some way';
const HSR = { strength: /** @type {const} */ ('exact'), r: 7, denseBelow: 1 };
/** @type {Engine} */
let there;
/** @type {Here} */
let here;
let folder = '';
let path = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  path = join(folder, 'tiny.gguf');
  await writeFile(path, randomModel({ arch: 'llama' }));
  here = await Here.load(path);
  there = await Engine.load(path);
});
after(async () => {
  here.close();
  there.close();
  await rm(folder, { recursive: true });
});

/** @typedef {import('../../web/remote/api.js').Engine} Any */

/** @param {AsyncIterable<unknown>} pieces */
async function all(pieces) {
  const list = [];
  for await (const piece of pieces) list.push(piece);
  return list;
}

/** Everything that can be seen of a generation. @param {Any} engine @param {import('../../web/remote/api.js').GenerateOptions} options */
async function seen(engine, options) {
  const calls = /** @type {any[]} */ ([]);
  const pieces = /** @type {any[]} */ ([]);
  const generated = engine.generate(TEXT, {
    ...options,
    onPrefill: (...args) => calls.push(args),
    onStats: ({ prefillMs, decodeMs, ...stats }) => calls.push(stats, decodeMs.length, prefillMs > 0),
  });
  for await (const { step, ...piece } of generated) {
    const [layers, heads] = [[-1, 0, 1], [-1, 0, 1]]; // prettier-ignore
    const stats = step && layers.map((layer) => heads.map((head) => step.stats(layer, head)));
    const reported = step && [0, 1].map((layer) => [0, 1].map((head) => step.reported(layer, head)));
    pieces.push({ ...piece, ...(step && { stats, reported, all: step.stats() }) });
  }
  return { pieces, calls };
}

test('the same model, tokens, logits and perplexity', async () => {
  assert.deepEqual({ ...there.config }, here.config);
  const { memoryBytes, ...info } = here.info;
  assert.deepEqual({ ...there.info, memoryBytes }, { ...info, memoryBytes });
  assert.deepEqual([there.ctx, there.kv, there.parameters], [here.ctx, here.kv, here.parameters]);
  const ids = here.tokenize(TEXT);
  assert.deepEqual(await there.tokenize(TEXT), ids);
  assert.deepEqual(await there.tokenize(TEXT, { addSpecial: false }), ids.slice(1));
  assert.equal(await there.detokenize(ids), here.detokenize(ids));
  assert.deepEqual(await there.logits(ids), await here.logits(ids));
  assert.deepEqual(await there.logits(ids, { all: true, attention: HSR }), await here.logits(ids, { all: true, attention: HSR }));
  const options = { evalTokens: 8, against: /** @type {const} */ ('dense'), attention: HSR };
  assert.deepEqual(await there.perplexity(TEXT, options), await here.perplexity(TEXT, options));
});

test('prefixes go on, are cut, saved and resumed', async () => {
  /** @param {Any} engine */
  async function story(engine) {
    const root = await engine.prefill(TEXT);
    const more = await engine.prefill(' and then', { prefix: root });
    /** @type {any} */
    let info;
    const bytes = new Uint8Array(await new Response(more.snapshot({ onInfo: (i) => (info = i) })).arrayBuffer());
    const back = await engine.resume(new Blob([bytes]));
    /** @type {import('../../web/remote/api.js').Prefix | undefined} */
    let kept;
    for await (const _ of engine.generate(' it', { prefix: back, maxTokens: 3, onPrefix: (prefix) => (kept = prefix) }));
    assert.ok(kept);
    await kept.truncate(kept.length - 1);
    const after = await all(engine.generate(' went', { prefix: kept, maxTokens: 3 }));
    const told = [more.ids, more.inherited, back.length, info.hash, back.saved?.hash, kept.ids, kept.inherited, after];
    for (const prefix of [root, more, back, kept]) prefix.free();
    bytes[bytes.length >> 1] ^= 1;
    const damage = /** @type {any} */ (await engine.resume(bytes).catch((error) => error));
    return [...told, damage.code, damage.message, damage.chunk, damage.offset];
  }
  const expected = await story(here);
  assert.ok(expected.includes('bad-chunk'));
  assert.deepEqual(await story(there), expected);
});

test('what a store opened crosses as a blob, or not at all', async () => {
  const store = openMemoryStore();
  await store.put('tiny.gguf', new Uint8Array(await readFile(path)));
  const engine = await Engine.load(await store.open('tiny.gguf'));
  assert.deepEqual(await engine.logits(TEXT), await here.logits(TEXT));
  engine.close();
  const files = await openFileStore(join(folder, 'store'));
  await files.put('tiny.gguf', new Uint8Array(await readFile(path)));
  await assert.rejects(async () => Engine.load(await files.open('tiny.gguf')), failure('bad-argument', 'source', 'tiny.gguf'));
});

test('the same generation, with what attention did when it is asked for', async () => {
  const sampler = { temperature: 0.9, seed: 7 };
  for (const watch of [false, true, { layer: 1, room: 3 }]) {
    const options = { maxTokens: 12, sampler, attention: HSR, watch };
    const expected = await seen(here, options);
    assert.equal(expected.pieces.length, 12);
    assert.equal(expected.pieces[5].reported?.[1][1].total, watch ? 14 : undefined);
    assert.deepEqual(await seen(there, options), expected);
  }
});

test('a generation as a stream, which can be aborted and cancelled', async () => {
  const { pieces } = await seen(here, { maxTokens: 5 });
  for (const engine of [here, there]) {
    await engine.logits('a');
    const before = engine.info.memoryBytes;
    assert.deepEqual(await all(engine.stream(TEXT, { maxTokens: 5 })), pieces);
    const abort = new AbortController();
    const aborted = engine.stream(TEXT, { maxTokens: 100, signal: abort.signal }).getReader();
    await aborted.read();
    abort.abort();
    await assert.rejects(aborted.read(), failure('aborted'));
    const cancelled = engine.stream(TEXT, { maxTokens: 100 }).getReader();
    await cancelled.read();
    await cancelled.cancel();
    await engine.logits('a');
    assert.equal(engine.info.memoryBytes, before, 'nothing leaks');
  }
});

test('prefixes stay in the worker, are shared, and give their memory back', async () => {
  const before = (await here.logits('a'), here.info.memoryBytes);
  const [mine, theirs] = [await here.prefill(TEXT), await there.prefill(TEXT)];
  assert.equal(theirs.length, mine.length);
  assert.ok(theirs.prefillMs > 0 && !theirs.freed);
  const expected = await seen(here, { prefix: mine, maxTokens: 6 });
  const both = await Promise.all([seen(there, { prefix: theirs, maxTokens: 6 }), seen(there, { prefix: theirs, maxTokens: 6 })]);
  assert.deepEqual(both, [expected, expected]);
  mine.free();
  theirs.free();
  theirs.free();
  assert.ok(theirs.freed);
  await assert.rejects(there.generate('x', { prefix: theirs }).next(), failure('closed', 'prefix'));
  assert.equal(there.info.memoryBytes, before);
});

test('the same errors, with every field', async () => {
  /** @type {((engine: Any) => Promise<unknown>)[]} */
  const bad = [
    async (engine) => engine.prefill([]),
    async (engine) => engine.prefill(TEXT, { ctx: 3 }),
    async (engine) => engine.prefill(TEXT, { ctx: 1e9 }),
    async (engine) => engine.generate('a', { maxTokens: -1 }).next(),
    async (engine) => engine.generate('a', { maxTokens: /** @type {any} */ (/** @type {unknown} */ ('many')) }).next(),
    async (engine) => engine.generate('a', { sampler: { topP: 2 } }).next(),
    async (engine) => engine.logits('a', { attention: { theta: 7 } }),
    async (engine) => engine.perplexity(''),
    async (engine) => engine.tokenize(/** @type {any} */ (undefined)),
    async (engine) => engine.logits('a', { signal: AbortSignal.abort('so') }),
  ];
  const fields = ({ name, message, code, field, value, limit, cause } = /** @type {any} */ ({})) => [
    name,
    message,
    code,
    field,
    value,
    limit,
    cause,
  ];
  for (const call of bad) {
    const [expected, actual] = await Promise.all([here, there].map((engine) => call(engine).then(assert.fail, fields)));
    assert.deepEqual(actual, expected);
  }
  await assert.rejects(Engine.load(join(folder, 'none.gguf')), failure('io', 'path'));
  await assert.rejects(Engine.load(new TextEncoder().encode('this is not a model, whatever it says')), failure('bad-file', 'magic'));
});

test('an abort, a break and a callback that throws leave the engine as it was', async () => {
  await there.logits('a');
  const before = there.info.memoryBytes;
  const [abort, reason] = [new AbortController(), new Error('no more')];
  const pieces = there.generate(TEXT, { maxTokens: 100, signal: abort.signal });
  await pieces.next();
  abort.abort(reason);
  await assert.rejects(pieces.next(), (e) => failure('aborted')(e) && /** @type {Error} */ (e).cause === reason);
  for await (const { index } of there.generate(TEXT, { maxTokens: 100 })) if (index === 2) break;
  for (const run of [there.prefill.bind(there), (/** @type {any} */ ...args) => there.generate(args[0], args[1]).next()]) {
    const thrown = new RangeError('not today');
    const onPrefill = () => {
      throw thrown;
    };
    await assert.rejects(run(TEXT, { onPrefill }), (e) => e === thrown);
  }
  assert.deepEqual(await seen(there, { maxTokens: 3 }), await seen(here, { maxTokens: 3 }));
  assert.equal(there.info.memoryBytes, before, 'nothing leaks');
});

test('loading reports its progress and can be stopped; bytes stay with the caller', async () => {
  const bytes = randomModel({ arch: 'qwen3' });
  /** @type {[number, number][]} */
  const progress = [];
  const engine = await Engine.load(bytes, { ctx: 64, onProgress: (...args) => progress.push(args) });
  assert.deepEqual([engine.config.arch, engine.ctx], ['qwen3', 64]);
  const [done, total] = /** @type {[number, number]} */ (progress.at(-1));
  assert.ok(done === total && total > 1e5 && bytes.length > total);
  engine.close();
  await assert.rejects(Engine.load(bytes, { signal: AbortSignal.abort() }), failure('aborted'));
  // The server falls silent in the middle of the weights: nothing but the abort ends this.
  const abort = new AbortController();
  const cut = (/** @type {number} */ _, /** @type {number} */ start) => {
    if (start < 4e4) return Infinity;
    abort.abort();
    return 1000;
  };
  const server = await serveBytes({ bytes, cut, stall: true });
  await assert.rejects(Engine.load(server.url, { signal: abort.signal }), failure('aborted'));
  await server.close();
});

test('a worker that is gone is an error of every call, and so is a closed engine', async () => {
  const { result: engine, workers } = await collectWorkers(() => Engine.load(path));
  const prefix = await engine.prefill('a');
  const generated = engine.generate(TEXT, { maxTokens: 200 });
  await generated.next();
  const waiting = [engine.perplexity(TEXT), engine.logits(TEXT, { all: true }), engine.prefill(TEXT)];
  await workers[0].terminate();
  for (const call of [...waiting, generated.next(), engine.tokenize('a'), engine.generate('a').next()])
    await assert.rejects(
      Promise.resolve(call).then(async (value) => (value && 'done' in value && !value.done ? all(generated) : value)),
      failure('worker-lost', 'worker'),
    );
  prefix.free();
  engine.close();

  const other = await Engine.load(path);
  const open = other.perplexity(TEXT);
  other.close();
  await assert.rejects(open, failure('closed', 'engine'));
  await assert.rejects(other.logits('a'), failure('closed', 'engine'));
});

test('a worker that does not start is an error of load()', async () => {
  const load = withWorkers(
    (Worker) =>
      class extends Worker {
        constructor() {
          super('throw new Error("no luck")', { eval: true });
        }
      },
    () => Engine.load(path),
  );
  await assert.rejects(load, failure('worker-lost', 'worker'));
});

test('a process ends while an engine in a worker is open, and not before its calls do', async () => {
  const script = `import { Engine } from ${JSON.stringify(new URL('../../web/worker-engine.js', import.meta.url).href)};
    const engine = await Engine.load(${JSON.stringify(path)});
    process.stdout.write(String((await engine.logits('Once upon a time')).length));`;
  const stdout = await new Promise((resolve, reject) =>
    execFile(process.execPath, ['--input-type=module', '-e', script], (error, out) => (error ? reject(error) : resolve(out))),
  );
  assert.equal(stdout, String(here.config.vocab));
});

test('threads run under a worker too', async () => {
  const engine = await Engine.load(path, { threads: 2 });
  assert.equal(engine.info.threads, 2);
  assert.deepEqual(await engine.logits(TEXT), await here.logits(TEXT));
  engine.close();
});

test('in Node.js text is a path', () => assert.equal(absolute('model.gguf'), 'model.gguf'));
