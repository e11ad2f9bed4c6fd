/** What `npm pack` packs: its size, an empty folder's use of it, its types, and pages of every bundler under a strict policy. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { Engine } from '../../web/engine.js';
import { randomModel } from '../node/helpers/random-model.js';
import { BUILDS } from './helpers/builds.js';
import { installed } from './helpers/installed.js';
import { closeBrowsers, inStrictPage } from './helpers/strict-page.js';

const MEGABYTE = 1e6;
const TSC = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url));
const model = randomModel({ arch: 'llama' });
/** @type {Awaited<ReturnType<typeof installed>>} */
let app;
/** What every page has to generate. @type {number[]} */
const ids = [];

before(async () => {
  app = await installed();
  // Vite serves what is in public/ as it is; the others' pages get the model below.
  await mkdir(join(app.folder, 'public'));
  await writeFile(join(app.folder, 'public/model.gguf'), model);
  const engine = await Engine.load(model, { variant: 'simd' });
  for await (const { id } of engine.generate('Once upon', { maxTokens: 8 })) ids.push(id);
  engine.close();
});
after(async () => {
  await closeBrowsers();
  await app.remove();
});

test('the archive is small, and an empty folder can use it', async () => {
  assert.ok(app.bytes < MEGABYTE, `${app.bytes} bytes`);
  const { all, found, wasm } = JSON.parse(await app.run(process.execPath, 'use.js', 'public/model.gguf'));
  assert.deepEqual(all, [ids, ids, ids, ids]);
  assert.equal(found, 2);
  const bytes = await readFile(new URL(wasm));
  assert.ok(WebAssembly.validate(bytes) && wasm.startsWith(pathToFileURL(join(app.folder, 'node_modules')).href), wasm);
  assert.match(await app.run('npx', 'halfspace', '--help'), /generate/);
});

for (const [resolution, module] of [
  ['bundler', 'esnext'],
  ['node16', 'node16'],
])
  test(`types, as moduleResolution ${resolution} finds them`, async () => {
    const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom,dom.asynciterable', '--types', ''];
    await app
      .run(TSC, ...options, '--moduleResolution', resolution, '--module', module, 'use.ts')
      .catch(({ stdout }) => assert.fail(stdout));
  });

for (const [name, build] of Object.entries(BUILDS)) {
  test(`a page built by ${name}`, { timeout: 120_000 }, async (t) => {
    const out = join(app.folder, `dist-${name}`);
    await build(app.folder, out);
    await writeFile(join(out, 'model.gguf'), model);
    for (const browser of name === 'none' ? /** @type {const} */ (['chromium', 'firefox']) : /** @type {const} */ (['chromium'])) {
      await t.test(browser, () =>
        inStrictPage(browser, out, {}, async (call, problems) => {
          const expected = { ids, threads: 1, typed: 'bad-argument' };
          assert.deepEqual(await call('generate', { variant: 'simd' }), { ...expected, inWorker: true });
          assert.deepEqual(await call('generate', { variant: 'simd', worker: false }), { ...expected, inWorker: false });
          // Where nothing is renamed the worker's script can be named.
          if (name === 'none') assert.ok((await call('generate', { worker: 'halfspace-worker.js' })).inWorker);
          assert.deepEqual(await call('search'), [0, 2]);
          assert.deepEqual(await problems(), []);
          await assert.rejects(call('compile'));
          assert.match((await problems()).join(), /script-src.*eval/, 'the policy is there, and what is against it is noted');
        }),
      );
      await t.test(`${browser}, isolated, two threads`, () =>
        inStrictPage(browser, out, { isolated: true }, async (call, problems) => {
          for (const worker of [true, false]) {
            const { ids: generated, threads } = await call('generate', { variant: 'simd', threads: 2, worker });
            assert.deepEqual([generated, threads], [ids, 2]);
          }
          assert.deepEqual(await problems(), []);
        }),
      );
    }
  });
}

test('a page whose worker dies, or does not start, is told', { timeout: 60_000 }, async () => {
  for (const browser of /** @type {const} */ (['chromium', 'firefox']))
    await inStrictPage(browser, join(app.folder, 'dist-none'), {}, async (call) => {
      assert.equal(await call('lose'), 'worker-lost');
      assert.equal(await call('failing', { worker: 'nowhere.js' }), 'worker-lost');
    });
});
