/** What runtimes differ in. Where one does not allow something, that has to be a typed error, and is noted as such. */
import { equal, fails, NotAllowed, ok } from './check.js';
import { greedy, GREEDY, loadModel, promptLogits } from './engine.js';
import { snapshotAndModel } from './stores.js';

/**
 * @param {string} area
 * @param {string} name
 * @param {(setting: import('./index.js').Setting) => Promise<any>} load an engine
 * @param {(engine: any, setting: import('./index.js').Setting) => Promise<void>} check
 * @param {{code: string, field: string}} refusal
 * @returns {[string, import('./index.js').Case[]]}
 */
const offer = (area, name, load, check, refusal) => [
  area,
  [
    {
      name,
      async run(setting) {
        if (!setting.allowed.includes(area)) {
          const error = await fails(setting.halfspace, () => load(setting), refusal);
          throw new NotAllowed(error.message);
        }
        const engine = await load(setting);
        try {
          await check(engine, setting);
        } finally {
          engine.close();
        }
      },
    },
  ],
];

/** @param {any} engine */
const sameTokens = async (engine) => equal(await greedy(engine), GREEDY);

/** @type {Record<string, import('./index.js').Case[]>} */
export const platform = Object.fromEntries([
  [
    'Model from a URL',
    [
      {
        name: 'the same tokens, read in ranges',
        async run({ halfspace, build, url }) {
          const engine = await halfspace.Engine.load(url, build);
          await sameTokens(engine);
          engine.close();
        },
      },
    ],
  ],
  offer(
    'Model from a path',
    'the same tokens',
    ({ halfspace, build, path = 'model.gguf' }) => halfspace.Engine.load(path, build),
    sameTokens,
    { code: 'unsupported', field: 'source' },
  ),
  offer(
    'Relaxed SIMD',
    'the same tokens, and logits close to those of SIMD128',
    ({ halfspace, relaxed, model }) => halfspace.Engine.load(model, relaxed),
    async (engine, setting) => {
      equal(engine.info.variant, 'relaxed');
      await sameTokens(engine);
      const other = await loadModel(setting);
      const [x, y] = [await promptLogits(engine), await promptLogits(other)];
      other.close();
      const worst = x.reduce(
        (/** @type {number} */ most, /** @type {number} */ v, /** @type {number} */ i) => Math.max(most, Math.abs(v - y[i])),
        0,
      );
      ok(worst < 0.05, `logits differ by ${worst}`);
    },
    { code: 'unsupported', field: 'variant' },
  ),
  offer(
    'Threads',
    'two threads, the same bits',
    (setting) => loadModel(setting, { threads: 2 }),
    async (engine, setting) => {
      equal(engine.info.threads, 2);
      await sameTokens(engine);
      const alone = await loadModel(setting);
      const expected = await promptLogits(alone);
      alone.close();
      equal(await promptLogits(engine), expected);
    },
    { code: 'unsupported', field: 'threads' },
  ),
  [
    'Store in files',
    [
      {
        name: 'snapshots and models',
        async run(setting) {
          const { openFileStore } = setting.halfspace;
          if (!setting.allowed.includes('Store in files')) {
            equal(openFileStore, undefined);
            throw new NotAllowed('openFileStore: of halfspace/node alone, as there are no paths here');
          }
          await snapshotAndModel(setting, await openFileStore(setting.folder));
        },
      },
    ],
  ],
  [
    'Store in OPFS',
    [
      {
        name: 'snapshots and models',
        async run(setting) {
          const { openOpfsStore } = setting.halfspace;
          if (!setting.allowed.includes('Store in OPFS')) {
            const error = await fails(setting.halfspace, () => openOpfsStore(), { code: 'unsupported', field: 'navigator.storage' });
            throw new NotAllowed(error.message);
          }
          await snapshotAndModel(setting, await openOpfsStore());
        },
      },
    ],
  ],
]);
