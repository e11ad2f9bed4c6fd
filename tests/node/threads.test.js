/** Threads: the same bits for any number of them, a clean end, lost workers, and what happens where there can be none. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Context } from '../../web/generation/context.js';
import { Engine } from '../../web/index.js';
import { failure } from './helpers/failure.js';
import { modelPath } from './helpers/model.js';
import { randomModel } from './helpers/random-model.js';
import { collectWorkers, withWorkers } from './helpers/workers.js';

/** Against hanging: none of this takes a minute, but on a busy machine, and where coverage is measured. */
const TIMEOUT_MS = 600_000;
const HSR = { mode: /** @type {const} */ ('hsr'), denseBelow: 0, denseAbove: 1 };
const ids = Array.from({ length: 740 }, (_, i) => 3 + ((i * i * 7 + i * 31) % 285));
const small = randomModel({ arch: 'llama', type: 'Q4_K' });
/** Large enough for progress to be reported before its end. */
const larger = randomModel({ arch: 'qwen2', type: 'F32' });

/** @param {Engine} engine @param {number} capacity */
const contextOf = (engine, capacity) => new Context(engine.wasm, engine.model, engine.config, { capacity, kv: 'q8' });

/**
 * Bits of the logits of a prompt and of decode steps after it, and statistics.
 * @param {Engine} engine
 * @param {import('../../web/engine.js').Attention} attention
 * @param {number[]} tokens
 * @param {number} prompt
 */
async function bits(engine, attention, tokens, prompt) {
  const context = contextOf(engine, tokens.length);
  context.setAttention(attention);
  const logits = [await context.prefill(tokens.slice(0, prompt))];
  for (const id of tokens.slice(prompt)) {
    context.decode(id);
    logits.push(context.logits().slice());
  }
  const { leavesOpened } = context.stats();
  const words = [...context.statsWords()];
  context.release();
  return { logits: logits.map((l) => Buffer.from(l.buffer).toString('base64')), words, leavesOpened };
}

/** @type {[string, Buffer | undefined, number, number][]} */
const models = [
  ['llama, random', small, 700, 740],
  ['gemma3, random', randomModel({ arch: 'gemma3', type: 'Q6_K' }), 300, 320],
  ['qwen2 in f32, random', larger, 300, 310],
  ['SmolLM2', undefined, 450, 454],
];
for (const [name, file, prompt, length] of models) {
  test(`${name}: 1, 2 and 3 threads give the same bits`, { timeout: TIMEOUT_MS }, async () => {
    const model = file ?? (await modelPath());
    const tokens = ids.slice(0, length);
    /** @type {Record<'dense' | 'hsr', unknown>[]} */
    const results = [];
    for (const threads of [1, 2, 3]) {
      const engine = await Engine.load(model, { threads });
      assert.equal(engine.info.threads, threads);
      const [dense, hsr] = [await bits(engine, 'dense', tokens, prompt), await bits(engine, HSR, tokens, prompt)];
      engine.close();
      assert.ok(hsr.leavesOpened > 0, 'hsr did something');
      assert.notDeepEqual(dense.logits, hsr.logits);
      results.push({ dense, hsr });
    }
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
  });
}

test('closing ends the workers', { timeout: TIMEOUT_MS }, async () => {
  const { result: engine, workers, ended } = await collectWorkers(() => Engine.load(small, { threads: 3 }));
  assert.equal(workers.length, 2);
  await engine.logits(ids.slice(0, 40));
  engine.close();
  assert.deepEqual(await ended, [0, 0]);
});

test('a load that fails ends the workers', { timeout: TIMEOUT_MS }, async () => {
  const stop = new AbortController();
  const { result, workers, ended } = await collectWorkers(() =>
    Engine.load(larger, { threads: 2, signal: stop.signal, onProgress: () => stop.abort() }).then(assert.fail, (error) => error),
  );
  assert.ok(failure('aborted')(result), String(result));
  assert.equal(workers.length, 1);
  assert.deepEqual(await ended, [0]);
});

test('a process ends while an engine with threads is open', { timeout: TIMEOUT_MS }, async () => {
  const script = `import { Engine } from ${JSON.stringify(new URL('../../web/index.js', import.meta.url).href)};
    const engine = await Engine.load(${JSON.stringify(await modelPath())}, { threads: 2 });
    process.stdout.write(String((await engine.logits('Once upon a time')).length));`;
  const stdout = await new Promise((resolve, reject) =>
    execFile(process.execPath, ['--input-type=module', '-e', script], (error, out) => (error ? reject(error) : resolve(out))),
  );
  assert.equal(stdout, '49152');
});

test('a worker that ends between jobs is not needed', { timeout: TIMEOUT_MS }, async () => {
  const { result: engine, workers, ended } = await collectWorkers(() => Engine.load(small, { threads: 2 }));
  const before = await bits(engine, HSR, ids, 700);
  await workers[0].terminate();
  await ended;
  assert.equal(engine.info.threads, 1);
  assert.deepEqual(await bits(engine, HSR, ids, 700), before);
  engine.close();
});

test('a caller that may not block, as a page itself, spins', { timeout: TIMEOUT_MS }, async () => {
  const engine = await Engine.load(small, { threads: 2 });
  const blocking = await bits(engine, HSR, ids, 700);
  engine.wasm.exports.hs_threads_start(2, 0, 60);
  assert.deepEqual(await bits(engine, HSR, ids, 700), blocking);
  engine.close();
});

test('a worker that dies in a job is an error, not a wait', { timeout: TIMEOUT_MS }, async () => {
  // With no room on its stack it traps in the first task that needs some.
  const engine = await withWorkers(
    (Worker) =>
      class extends Worker {
        /** @param {object} message */
        postMessage(message) {
          super.postMessage({ ...message, stack: 16 });
        }
      },
    () => Engine.load(small, { threads: 2 }),
  );
  const context = contextOf(engine, ids.length);
  const decodeAll = () => {
    for (const id of ids) context.decode(id);
  };
  assert.throws(decodeAll, failure('closed', 'threads'));
  assert.throws(decodeAll, failure('closed', 'threads'), 'and so for good');
  await assert.rejects(engine.logits(ids.slice(0, 40)), failure('closed', 'threads'));
  engine.close();
});

/** In a process of its own: V8 is to use its baseline compiler alone, as that of Node.js 20 breaks careless waits (threads.c). */
for (const [name, mayBlock, flags] of /** @type {const} */ ([
  ['blocks', '1', ['--liftoff-only']],
  ['spins', '0', []],
])) {
  test(`a worker that dies in a job without a word ends the wait of an owner that ${name}`, { timeout: TIMEOUT_MS }, async () => {
    const program = fileURLToPath(new URL('./helpers/silent-death.js', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, program, mayBlock]);
    assert.equal(stdout, 'closed threads 2\n'.repeat(2));
  });
}

test('workers that do not start: an error where they were asked for, one thread where not', { timeout: TIMEOUT_MS }, async (t) => {
  const load = (/** @type {number | 'auto'} */ threads) =>
    withWorkers(
      (Worker) =>
        class extends Worker {
          constructor() {
            super('throw new Error("no luck")', { eval: true });
          }
        },
      () => Engine.load(small, { threads }),
    );
  await assert.rejects(load(2), failure('unsupported', 'threads', 2));
  if (availableParallelism() === 1) return t.skip('auto is one thread here');
  const engine = await load('auto');
  assert.equal(engine.info.threads, 1);
  assert.match(engine.info.reasons.join(), /threads: .*no luck/);
  assert.equal((await engine.logits(ids.slice(0, 40))).length, engine.config.vocab);
  engine.close();
});

test('without SharedArrayBuffer: an error where threads were asked for, one thread where not', async () => {
  const { SharedArrayBuffer } = globalThis;
  // @ts-expect-error it is not optional
  delete globalThis.SharedArrayBuffer;
  try {
    await assert.rejects(Engine.load(small, { threads: 2 }), failure('unsupported', 'threads', 2));
    const engine = await Engine.load(small, { threads: 'auto' });
    assert.equal(engine.info.threads, 1);
    assert.match(engine.info.reasons.join(), /SharedArrayBuffer/);
    engine.close();
  } finally {
    globalThis.SharedArrayBuffer = SharedArrayBuffer;
  }
});

test('auto takes what there is, and the number is checked', async () => {
  const engine = await Engine.load(small, { threads: 'auto' });
  assert.equal(engine.info.threads, Math.min(4, availableParallelism()));
  engine.close();
  for (const threads of [0, 17, 1.5, NaN, 'many'])
    await assert.rejects(Engine.load(small, { threads: /** @type {any} */ (threads) }), failure('bad-argument', 'threads'));
});

test('a shared memory is limited like another one', async () => {
  const bytes = 140e6;
  const engine = await Engine.load(await modelPath(), { threads: 2, maxMemoryBytes: bytes });
  const text = await readFile(new URL('../../demo/documents/alice.txt', import.meta.url), 'utf8');
  await assert.rejects(engine.prefill(engine.tokenize(text).slice(0, 4000)), failure('out-of-memory', 'ctx'));
  assert.ok(engine.wasm.memory.buffer.byteLength <= bytes);
  engine.close();
});
