/** Snapshots of prefixes, generation as a stream, and what it hands over. */
import { logitsAfter } from '../node/helpers/logits.js';
import { collect, equal, fails, fingerprint, ok } from './check.js';
import { greedy, GREEDY, loadModel, PROMPT, withEngine } from './engine.js';
import { bytesOf, damaged, offsetsOf } from './snapshot-bytes.js';

/** Attention that looks into leaves, in contexts this short. */
const FAST = { denseBelow: 0, denseAbove: 1, theta: 0.01 };
const SNAPSHOT = '55dca077';
/** @param {number} n @param {number} [seed] */
const ids = (n, seed = 0) => Array.from({ length: n }, (_, i) => 3 + ((i * 7919 + seed * 104_729 + ((i * i) % 89)) % 280));

/** @param {any} engine @param {any} prefix */
const bits = async (engine, prefix) => fingerprint(await logitsAfter(engine, prefix, FAST));

/** @type {Record<string, import('./index.js').Case[]>} */
export const snapshots = {
  'Snapshots of prefixes': [
    withEngine('resumed in another engine, the next logits are the same bits', async (engine, setting) => {
      const prefix = await engine.prefill(ids(200), { attention: FAST });
      const bytes = await bytesOf(prefix.snapshot());
      equal(fingerprint(bytes), SNAPSHOT, 'bytes of the snapshot');
      const other = await loadModel(setting);
      const resumed = await other.resume(new Blob([bytes]).stream());
      equal(resumed.ids, ids(200));
      equal(await bits(other, resumed), await bits(engine, prefix));
      const [one, two] = await Promise.all(
        [engine, other].map((each, i) => collect(each.generate([7], { prefix: [prefix, resumed][i], maxTokens: 8 }))),
      );
      equal(one.ids, two.ids);
      other.close();
    }),
    withEngine('what was added is saved and resumed by itself', async (engine, { halfspace }) => {
      const prefix = await engine.prefill(ids(210), { attention: FAST });
      let since = /** @type {any} */ (undefined);
      const first = await bytesOf(prefix.snapshot({ onInfo: (/** @type {any} */ info) => (since = info) }));
      const longer = await engine.prefill(ids(40, 1), { prefix, attention: FAST });
      const added = await bytesOf(longer.snapshot({ since }));
      const whole = await bytesOf(longer.snapshot());
      ok(added.length < 0.8 * whole.length, `${added.length} of ${whole.length} bytes`);
      const resumed = await engine.resume([first, added]);
      equal(resumed.ids, [...ids(210), ...ids(40, 1)]);
      equal(await bits(engine, resumed), await bits(engine, longer));
      await fails(halfspace, () => engine.resume(added), { code: 'bad-argument', field: 'base' });
    }),
    withEngine('another model, another cache, or damage is refused, and the engine goes on', async (engine, setting) => {
      const { halfspace, model } = setting;
      const prefix = await engine.prefill(ids(150));
      const bytes = await bytesOf(prefix.snapshot());
      await greedy(engine);
      const used = engine.info.memoryBytes;
      const record = 6;
      const error = await fails(halfspace, () => engine.resume(damaged(bytes, record)), { code: 'bad-chunk', field: 'checksum' });
      ok(error instanceof halfspace.ChunkError, 'a ChunkError');
      equal([error.chunk, error.offset], [record, offsetsOf(bytes)[record]]);
      await fails(halfspace, () => engine.resume(bytes.slice(0, -1)), { code: 'bad-chunk', field: 'length' });
      await fails(halfspace, () => engine.resume(bytes, { ctx: 100 }), { code: 'context-full', limit: 100 });
      await fails(halfspace, () => engine.resume(bytes, { signal: AbortSignal.abort() }), { code: 'aborted' });
      equal(engine.info.memoryBytes, used);
      equal(await greedy(engine), GREEDY);
      // A model that differs in a token's text alone.
      const renamed = model.slice();
      const text = new TextEncoder().encode('<unk>');
      renamed[renamed.findIndex((_, i) => text.every((byte, j) => renamed[i + j] === byte)) + 1] += 1;
      for (const [field, options, file] of /** @type {[string, object, Uint8Array][]} */ ([
        ['model', {}, renamed],
        ['kv', { kv: 'f32' }, model],
      ])) {
        const other = await loadModel({ ...setting, model: file }, options);
        await fails(halfspace, () => other.resume(bytes), { code: 'bad-argument', field });
        other.close();
      }
    }),
    withEngine('a snapshot says what it holds, without the model', async (engine, { halfspace, build }) => {
      const prefix = await engine.prefill(ids(60));
      const bytes = await bytesOf(prefix.snapshot());
      const { kind, tokens, kv } = await halfspace.inspectSnapshot(bytes, { wasm: build });
      equal([kind, tokens, kv], ['context', 60, 'q8']);
      const verified = await halfspace.verifySnapshot(bytes, { wasm: build });
      equal(verified.tokens, ids(60));
      await fails(halfspace, () => halfspace.verifySnapshot(damaged(bytes, 3), { wasm: build }), { code: 'bad-chunk' });
    }),
  ],
  'Engine: stream, stop, onPrefix': [
    withEngine('a stream gives what generate() gives, and gives its memory back', async (engine, { halfspace }) => {
      equal((await collect(engine.stream(PROMPT, { maxTokens: GREEDY.length }))).ids, GREEDY);
      const used = engine.info.memoryBytes;
      const left = engine.stream(PROMPT, { maxTokens: 50 }).getReader();
      equal((await left.read()).value.index, 0);
      await left.cancel();
      equal(engine.info.memoryBytes, used);
      const stop = new AbortController();
      const reader = engine.stream(PROMPT, { maxTokens: 50, signal: stop.signal }).getReader();
      await reader.read();
      stop.abort();
      await fails(halfspace, () => reader.read(), { code: 'aborted' });
      equal(engine.info.memoryBytes, used);
    }),
    withEngine('a stop string ends the text before it', async (engine, { halfspace }) => {
      let stats = /** @type {any} */ (undefined);
      const whole = await collect(engine.generate(PROMPT, { maxTokens: 30 }));
      const stop = [whole.text.slice(8, 11)];
      const { text } = await collect(engine.generate(PROMPT, { maxTokens: 30, stop, onStats: (/** @type {any} */ s) => (stats = s) }));
      equal(text, whole.text.slice(0, whole.text.indexOf(stop[0])));
      equal(stats.finishReason, 'stop');
      await fails(halfspace, () => greedy(engine, { stop: [''] }), { code: 'bad-argument', field: 'stop[0]' });
    }),
    withEngine('what was read and generated is handed over, and can be cut and continued', async (engine) => {
      const options = { attention: 'dense', maxTokens: 5 };
      let kept = /** @type {any} */ (undefined);
      await collect(engine.generate(PROMPT, { ...options, onPrefix: (/** @type {any} */ prefix) => (kept = prefix) }));
      const prompt = engine.tokenize(PROMPT);
      equal(kept.ids, [...prompt, ...GREEDY.slice(0, 4)]);
      const { ids: next } = await collect(engine.generate(GREEDY.slice(4, 5), { ...options, prefix: kept }));
      equal(next, GREEDY.slice(5, 10));
      const longer = await engine.prefill(GREEDY.slice(4, 6), { prefix: kept, attention: 'dense' });
      equal([longer.inherited, longer.length], [kept.length, kept.length + 2]);
      equal((await collect(engine.generate(GREEDY.slice(6, 7), { ...options, prefix: longer }))).ids, GREEDY.slice(7, 12));
      longer.free();
      kept.truncate(prompt.length - 1);
      equal((await collect(engine.generate(prompt.slice(-1), { ...options, prefix: kept }))).ids, GREEDY.slice(0, 5));
      kept.free();
    }),
  ],
};
