/** A document's beginnings, which the demo's sweep measures: cut from a copy, or read again where a copy cannot be cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Beginnings } from '../../demo/beginnings.js';
import { Engine } from '../../web/index.js';
import { randomModel } from './helpers/random-model.js';

test('each beginning continues as its tokens do; the document stays, and nothing is held', async () => {
  const engine = await Engine.load(randomModel({ arch: 'llama' }));
  const { signal } = new AbortController();
  const next = async (/** @type {import('../../web/remote/api.js').GenerateOptions} */ options, /** @type {number[]} */ prompt) => {
    const ids = [];
    for await (const { id } of /** @type {import('../../web/remote/api.js').Engine} */ (engine).generate(prompt, {
      ...options,
      maxTokens: 5,
    }))
      ids.push(id);
    return ids;
  };
  const ids = engine.tokenize('The rabbit-hole went straight on like a tunnel for some way, and then dipped down.');
  const root = await engine.prefill(ids.slice(0, 40));
  const document = await engine.prefill(ids.slice(40, 70), { prefix: root });
  const before = await next({ prefix: document }, [70]);
  const held = engine.info.memoryBytes;
  for (const source of [root, document]) {
    const beginnings = new Beginnings(engine, source, { ctx: 256, signal });
    for (const length of [source.length, source.length - 7, 25, 3]) {
      const prefix = await beginnings.first(length);
      assert.deepEqual(prefix.ids, ids.slice(0, length));
      assert.deepEqual(
        await next({ prefix: /** @type {any} */ (prefix) }, [70]),
        await next({}, [...ids.slice(0, length), 70]),
        `${length}`,
      );
    }
    beginnings.free();
    beginnings.free();
    assert.equal(engine.info.memoryBytes, held);
  }
  const stopped = new Beginnings(engine, document, { ctx: 256, signal: AbortSignal.abort() });
  await assert.rejects(stopped.first(30), /abort/);
  assert.equal(engine.info.memoryBytes, held);
  assert.deepEqual(await next({ prefix: document }, [70]), before);
  engine.close();
});
