/** The package as pages see it, in Node.js: the suite of the public API, engines in a page's workers, and what only pages meet. */
import { site, threads } from './helpers/page-scope.js';

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { relaxedSimd } from 'wasm-feature-detect';

import * as attention from '../../web/attention.js';
import * as here from '../../web/index.js';
import * as page from '../../web/page.js';
import { absolute } from '../../web/worker-engine.js';
import { greedy, GREEDY } from '../suites/engine.js';
import { COMMON, runSuites } from '../suites/index.js';
import { platform } from '../suites/platform.js';
import { serveBytes } from './helpers/byte-server.js';
import { failure } from './helpers/failure.js';
import { randomModel } from './helpers/random-model.js';

const BUILD = { variant: /** @type {const} */ ('simd') };
// A copy: what a Buffer slices is no copy, and the suite changes slices.
const model = new Uint8Array(randomModel({ arch: 'llama', type: 'Q4_1', tied: false }));
const WORKER = new URL('../../web/remote/worker.js', import.meta.url);
const scope = /** @type {any} */ (globalThis);
/** @type {Awaited<ReturnType<typeof serveBytes>>} */
let server;

before(async () => {
  server = await serveBytes({ bytes: model });
});
after(() => server.close());

for (const [area, cases] of Object.entries({ ...COMMON, ...platform }))
  test(`page: ${area}`, async () => {
    const halfspace = { ...here, ...attention };
    const relaxed = { variant: 'relaxed' };
    const allowed = ['Threads', 'Store in OPFS', ...((await relaxedSimd()) ? ['Relaxed SIMD'] : [])];
    const setting = { halfspace, build: BUILD, relaxed, model, url: server.url, allowed };
    for (const { name, error, ok } of await runSuites(setting, { [area]: cases })) assert.ok(ok, `${name}: ${error}`);
  });

/**
 * With another value of a global, or none.
 * @param {Record<string, unknown>} values
 * @param {() => Promise<unknown>} run
 */
async function withGlobals(values, run) {
  const before = Object.keys(values).map((name) => /** @type {const} */ ([name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, { configurable: true, writable: true, value });
  }
  try {
    await run();
  } finally {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
    }
  }
}

/** The engine answers as it should, and is closed. @param {any} engine */
async function answers(engine) {
  assert.deepEqual(await greedy(engine), GREEDY);
  engine.close();
}

test('an engine of a page is in a worker, unless it is told not to be, or there is no page', async () => {
  const started = threads.length;
  await answers(await page.Engine.load(model, BUILD));
  await answers(await page.Engine.load(model, { ...BUILD, worker: WORKER }));
  await answers(await page.Engine.load(model, { ...BUILD, worker: WORKER.href }));
  assert.equal(threads.length, started + 3);
  const two = await page.Engine.load(model, { ...BUILD, threads: 2 });
  assert.equal(two.info.threads, 2);
  await answers(two);
  assert.equal(threads.length, started + 4, 'the threads of a worker are its own');
  await answers(await page.Engine.load(model, { ...BUILD, worker: false }));
  await withGlobals({ document: undefined }, async () => answers(await page.Engine.load(model, BUILD)));
  assert.equal(threads.length, started + 4);
});

test('a URL is relative to the page, as is what its workers are given', async () => {
  const baseURI = new URL('.', server.url).href;
  await withGlobals({ document: { baseURI } }, async () => {
    assert.equal(absolute('a/model.gguf'), `${baseURI}a/model.gguf`);
    for (const same of ['', 'http://[', 'https://example.org/m.gguf', model]) assert.equal(absolute(same), same);
    for (const worker of [true, false]) await answers(await page.Engine.load('file.gguf', { ...BUILD, worker }));
    await assert.rejects(page.Engine.load('', BUILD), failure('bad-argument', 'source', ''));
  });
  await withGlobals({ document: undefined, location: { href: `${baseURI}index.html` } }, async () =>
    assert.equal(absolute('model.gguf'), `${baseURI}model.gguf`),
  );
});

test('prefixes and snapshots of an engine in a worker, and what cannot go there', async () => {
  const engine = await page.Engine.load(model, BUILD);
  const prefix = await engine.prefill('The half-space', { attention: 'dense' });
  const bytes = new Uint8Array(await new Response(prefix.snapshot()).arrayBuffer());
  const store = page.openMemoryStore();
  await store.put('a', bytes);
  const again = await engine.resume(await store.open('a'));
  assert.deepEqual(again.ids, prefix.ids);
  const inPieces = await engine.resume([new Blob([bytes])]);
  assert.deepEqual(inPieces.ids, prefix.ids);
  const { blob, ...source } = await store.open('a');
  assert.equal(blob().size, bytes.length);
  await assert.rejects(engine.resume(source), failure('bad-argument', 'source', 'a'));
  await answers(engine);
});

test('a worker that dies is noticed where there are locks, and every call tells', async () => {
  const engine = await page.Engine.load(model, BUILD);
  const lost = engine.perplexity('The half-space of a query '.repeat(8));
  await threads.at(-1)?.terminate();
  await assert.rejects(lost, failure('worker-lost', 'worker'));
  await assert.rejects(engine.logits('a'), failure('worker-lost', 'worker'));
  // Where a page is not secure there are none.
  const { locks } = scope.navigator;
  delete scope.navigator.locks;
  try {
    await answers(await page.Engine.load(model, BUILD));
  } finally {
    scope.navigator.locks = locks;
  }
});

test('a worker whose script cannot be loaded, or throws', async () => {
  const load = () => page.Engine.load(model, { ...BUILD, worker: new URL('none.js', WORKER) });
  await assert.rejects(load(), (error) => failure('worker-lost', 'worker')(error) && /none\.js/.test(String(error)));
  // Browsers do not say why: the event has no message.
  const { Worker } = scope;
  class Silent extends Worker {
    addEventListener(/** @type {string} */ type, /** @type {(event: object) => void} */ listener) {
      super.addEventListener(type, () => listener({}));
    }
  }
  await withGlobals({ Worker: Silent }, () =>
    assert.rejects(load(), (error) => failure('worker-lost', 'worker')(error) && /failed to load/.test(String(error))),
  );
});

test('threads of a page: as many as processors, and one where they do not run, with the reason', async (t) => {
  const load = (/** @type {number | 'auto'} */ count) => here.Engine.load(model, { ...BUILD, threads: count });
  const auto = await load('auto');
  assert.equal(auto.info.threads, scope.navigator.hardwareConcurrency);
  await answers(auto);
  for (const [globals, why] of /** @type {[Record<string, unknown>, RegExp][]} */ ([
    [{ SharedArrayBuffer: undefined, crossOriginIsolated: false }, /not cross-origin isolated/],
    [{ SharedArrayBuffer: undefined }, /no SharedArrayBuffer/],
    [{ Worker: undefined }, /no workers/],
  ]))
    await withGlobals(globals, async () => {
      await assert.rejects(load(2), (error) => failure('unsupported', 'threads', 2)(error) && why.test(String(error)) && error.limit === 1);
      const engine = await load('auto');
      assert.equal(engine.info.threads, 1);
      assert.match(engine.info.reasons.join(), why);
      await answers(engine);
    });
  // A page's main thread spins where a worker's waits.
  t.mock.method(Atomics, 'wait', () => {
    throw new TypeError('Atomics.wait cannot be called in this context');
  });
  await answers(await load(2));
});

test('a build from a URL, from text, from bytes and compiled; one that is not there', async () => {
  const file = new URL('../../build/halfspace.simd.wasm', import.meta.url);
  const bytes = await readFile(file);
  for (const simd of [file, file.href, bytes, await WebAssembly.compile(bytes)])
    await answers(await here.Engine.load(model, { ...BUILD, wasm: { simd } }));
  const none = new URL('none.wasm', file);
  await assert.rejects(here.Engine.load(model, { ...BUILD, wasm: { simd: none } }), (error) => {
    assert.ok(failure('unsupported', 'variant', 'simd')(error), String(error));
    assert.deepEqual(error.limit, [`simd: ${none}: status 404`]);
    return true;
  });
});

test('the store of a page, which can ask to stay', async () => {
  const store = await page.openOpfsStore({ folder: 'page' });
  assert.equal(await store.persist(), true);
  await store.put('a', model);
  assert.ok((await site.navigator.storage.estimate()).usage > model.length);
});
