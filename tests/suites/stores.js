/** Stores: what every store does, in memory; snapshots and models in them. */
import { equal, ok } from './check.js';
import { greedy, GREEDY, loadModel, PROMPT } from './engine.js';
import { contentOf, equalBytes, storeSuite } from './store.js';

/**
 * A snapshot in a store is resumed from there, and a model is fetched into it once.
 * @param {import('./index.js').Setting} setting
 * @param {any} store an empty one
 */
export async function snapshotAndModel(setting, store) {
  const { halfspace, url, model, build } = setting;
  const engine = await loadModel(setting);
  const prompt = engine.tokenize(PROMPT);
  const prefix = await engine.prefill(prompt.slice(0, -1), { attention: 'dense' });
  const { bytes } = await store.put('a.snapshot', prefix.snapshot());
  equal(
    (await store.list()).map((/** @type {any} */ entry) => [entry.name, entry.bytes].join()),
    [`a.snapshot,${bytes}`],
  );
  const resumed = await engine.resume(await store.open('a.snapshot'));
  const ids = [];
  for await (const { id } of engine.generate(prompt.slice(-1), { prefix: resumed, attention: 'dense', maxTokens: 5 })) ids.push(id);
  equal(ids, GREEDY.slice(0, 5));
  engine.close();
  /** @type {any} */
  let progress;
  const options = { store, partBytes: 400_000, onProgress: (/** @type {number[]} */ ...done) => (progress = done) };
  const first = await halfspace.cachedModel(url, options);
  equal(progress, [model.length, model.length]);
  await first.close();
  progress = undefined;
  const again = await halfspace.cachedModel(url, options);
  equal(progress, undefined, 'what was fetched the second time');
  ok(equalBytes(await again.read(0, again.size), model), 'it is the file');
  const cached = await halfspace.Engine.load(again, build);
  equal(await greedy(cached), GREEDY);
  cached.close();
  equal((await contentOf(store, 'a.snapshot')).length, bytes);
}

/** What is in memory is gone with the store. */
const inMemory = Object.entries(storeSuite).filter(([name]) => name !== 'entries outlive the store that put them');

/** @type {Record<string, import('./index.js').Case[]>} */
export const stores = {
  'Store in memory, cachedModel': [
    ...inMemory.map(([name, run]) => ({
      name,
      run: (/** @type {import('./index.js').Setting} */ { halfspace }) =>
        run({ fresh: async (options) => halfspace.openMemoryStore(options), again: undefined }),
    })),
    { name: 'snapshots and models', run: (setting) => snapshotAndModel(setting, setting.halfspace.openMemoryStore()) },
  ],
};
