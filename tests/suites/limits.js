/** Memory limits, wrong files and options, and the end of an engine. */
import { equal, fails, ok } from './check.js';
import { greedy, GREEDY, loadModel } from './engine.js';
import { uniform } from './index-and-tree.js';

const MB = 1 << 20;

/** @type {Record<string, import('./index.js').Case[]>} */
export const limits = {
  'Limits, errors, close': [
    {
      name: 'a cache grows up to the memory limit, and stays usable there',
      async run({ halfspace, build }) {
        const cache = await halfspace.KvCache.create({ headDim: 64, wasm: { ...build, maxMemoryBytes: 8 * MB } });
        const part = { keys: uniform(1, 4096 * 64), values: uniform(2, 4096 * 64) };
        let rows = 0;
        const fill = () => {
          for (; rows < 64 * 4096; rows += 4096) cache.append(part);
        };
        await fails(halfspace, fill, { code: 'out-of-memory', field: 'keys', limit: 8 * MB });
        ok(rows > 8192 && rows < 60_000, `${rows} rows fit 8 MB`);
        equal(cache.length, rows);
        ok(cache.core.wasm.memory.buffer.byteLength <= 8 * MB, 'the memory stays below its limit');
        equal(halfspace.attend(cache, uniform(3, 64)).output.length, 64);
        cache.truncate(0);
        equal(cache.append(part), 0);
        cache.free();
      },
    },
    {
      name: 'a model that does not fit is refused',
      run: async (setting) =>
        void (await fails(setting.halfspace, () => loadModel(setting, { maxMemoryBytes: 2 * MB }), { code: 'out-of-memory' })),
    },
    {
      name: 'a context that does not fit says how long one would',
      async run(setting) {
        const { halfspace } = setting;
        const engine = await loadModel(setting, { ctx: 2 ** 20, maxMemoryBytes: 10 * MB });
        const { limit } = await fails(halfspace, () => engine.prefill(Array(30_000).fill(5)), {
          code: 'out-of-memory',
          field: 'ctx',
          value: 30_000,
        });
        ok(limit > 100 && limit < 30_000, `${limit} tokens fit`);
        equal(await greedy(engine), GREEDY);
        engine.close();
      },
    },
    {
      name: 'bytes that are no model, or not all of one',
      async run(setting) {
        const { halfspace, model } = setting;
        await fails(halfspace, () => loadModel({ ...setting, model: new Uint8Array(400) }), {
          code: 'bad-file',
          field: 'magic',
        });
        await fails(halfspace, () => loadModel({ ...setting, model: model.slice(0, -1000) }), { code: 'bad-file' });
      },
    },
    {
      name: 'wrong options of an engine name the field',
      async run(setting) {
        const { halfspace } = setting;
        await fails(halfspace, () => loadModel(setting, { kv: 'q2' }), { code: 'bad-argument', field: 'kv', value: 'q2' });
        await fails(halfspace, () => loadModel(setting, { ctx: 0 }), { code: 'bad-argument', field: 'ctx', value: 0 });
        await fails(halfspace, () => loadModel(setting, { threads: 17 }), { code: 'bad-argument', field: 'threads', value: 17, limit: 16 });
        await fails(halfspace, () => loadModel(setting, { maxMemoryBytes: 1 }), {
          code: 'bad-argument',
          field: 'maxMemoryBytes',
          value: 1,
        });
        await fails(halfspace, () => loadModel(setting, { variant: 'avx' }), { code: 'bad-argument', field: 'variant', value: 'avx' });
      },
    },
    {
      name: 'wrong requests name the field, and the engine goes on',
      async run(setting) {
        const { halfspace } = setting;
        const engine = await loadModel(setting);
        await greedy(engine);
        const used = engine.info.memoryBytes;
        const request = (/** @type {object} */ options) => () => greedy(engine, options);
        await fails(halfspace, request({ maxTokens: -1 }), { code: 'bad-argument', field: 'maxTokens', value: -1 });
        await fails(halfspace, request({ ctx: 3 }), { code: 'context-full', field: 'prompt', limit: 3 });
        await fails(halfspace, request({ attention: { theta: 2 } }), { code: 'bad-argument', field: 'attention.theta', value: 2 });
        await fails(halfspace, () => engine.prefill([]), { code: 'bad-argument', field: 'prompt' });
        equal(engine.info.memoryBytes, used);
        equal(await greedy(engine), GREEDY);
        engine.close();
      },
    },
    {
      name: 'a closed engine says so',
      async run(setting) {
        const engine = await loadModel(setting);
        engine.close();
        engine.close();
        await fails(setting.halfspace, () => engine.tokenize('a'), { code: 'closed', field: 'engine' });
        await fails(setting.halfspace, () => engine.prefill('a'), { code: 'closed', field: 'engine' });
      },
    },
  ],
};
