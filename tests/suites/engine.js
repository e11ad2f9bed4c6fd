/** Engine on a small model of random weights. */
import { collect, equal, fails, fingerprint, ok } from './check.js';

export const PROMPT = 'The half-space of a query';
/** Greedy continuation of PROMPT: of the simd build bit by bit, of the relaxed build as its logits are closer than the choice. */
export const GREEDY = [174, 208, 260, 201, 12, 219, 28, 19, 28, 130, 55, 41];
const LOGITS = 'e22ef64e';

/**
 * @param {import('./index.js').Setting} setting
 * @param {object} [options]
 * @returns {Promise<any>}
 */
export const loadModel = ({ halfspace, build, model }, options = {}) => halfspace.Engine.load(model, { ...build, ...options });

/**
 * A case with an engine, which is closed at its end.
 * @param {string} name
 * @param {(engine: any, setting: import('./index.js').Setting) => Promise<void>} run
 * @returns {import('./index.js').Case}
 */
export const withEngine = (name, run) => ({
  name,
  async run(setting) {
    const engine = await loadModel(setting);
    try {
      await run(engine, setting);
    } finally {
      engine.close();
    }
  },
});

/** Greedy ids of the prompt. @param {any} engine @param {object} [options] */
export const greedy = async (engine, options) => (await collect(engine.generate(PROMPT, { maxTokens: GREEDY.length, ...options }))).ids;

/** Logits of every position of the prompt. @param {any} engine */
export const promptLogits = (engine) => engine.logits(PROMPT, { all: true });

/** @type {Record<string, import('./index.js').Case[]>} */
export const engine = {
  'Engine: load, generate': [
    withEngine('info says what was loaded', async ({ info, config }) => {
      equal([info.variant, info.threads, info.arch, info.kv, info.contextTrain], ['simd', 1, 'llama', 'q8', 256]);
      ok(info.parameters > 1e6 && info.memoryBytes > 0 && config.vocab === 288, JSON.stringify(info));
    }),
    {
      name: 'progress reaches the size of the tensors',
      async run(setting) {
        let last = [0, 1];
        const engine = await loadModel(setting, {
          onProgress: (/** @type {number} */ done, /** @type {number} */ total) => (last = [done, total]),
        });
        engine.close();
        equal(last[0], last[1]);
        ok(last[1] > 500_000 && last[1] < setting.model.length, `${last[1]} bytes`);
      },
    },
    withEngine('greedy tokens are the expected ones, twice', async (engine) => {
      equal(await greedy(engine), GREEDY);
      equal(await greedy(engine), GREEDY);
    }),
    withEngine('every bit of the logits is the expected one', async (engine) => equal(fingerprint(await promptLogits(engine)), LOGITS)),
    withEngine('pieces join to the decoded ids', async (engine) => {
      const { ids, text } = await collect(engine.generate(PROMPT, { maxTokens: 40 }));
      equal(text, engine.detokenize(ids));
    }),
    withEngine('a seed decides what is sampled', async (engine) => {
      const run = (/** @type {number} */ seed) => greedy(engine, { sampler: { temperature: 1.2, topP: 0.95, seed } });
      const [first, again, other] = [await run(1), await run(1), await run(2)];
      equal(first, again);
      ok(first.join() !== other.join(), 'another seed samples otherwise');
    }),
    withEngine('statistics and what attention reported', async (engine) => {
      let stats = /** @type {any} */ (undefined);
      let steps = 0;
      const options = { maxTokens: 5, watch: true, attention: { denseBelow: 0 }, onStats: (/** @type {any} */ s) => (stats = s) };
      for await (const { step } of engine.generate(PROMPT, options)) {
        if (!step) continue;
        steps++;
        const { total, positions, shares } = step.reported(1, 0);
        ok(total > 0 && positions.length === total && shares.length === 2 * total, `${total} keys reported`);
      }
      equal([steps, stats.decodeMs.length, stats.mode], [4, 4, 'hsr']);
      equal(stats.promptTokens, engine.tokenize(PROMPT).length);
    }),
    withEngine('perplexity of a text is that of its logits', async (engine) => {
      const { ppl, tokens, kl } = await engine.perplexity(PROMPT, { evalTokens: 8, attention: 'dense', against: 'dense' });
      equal([tokens, kl], [8, 0]);
      ok(ppl > 1 && ppl < 1e6, `perplexity ${ppl}`);
    }),
  ],
  'Engine: prefixes, abort': [
    withEngine('generations share a prefix', async (engine) => {
      const ids = engine.tokenize(PROMPT);
      const expected = await greedy(engine, { attention: 'dense' });
      const used = engine.info.memoryBytes;
      const prefix = await engine.prefill(ids.slice(0, -3), { attention: 'dense' });
      const run = () => collect(engine.generate(ids.slice(-3), { prefix, maxTokens: GREEDY.length, attention: 'dense' }));
      const [one, two] = await Promise.all([run(), run()]);
      prefix.free();
      equal(one.ids, two.ids);
      equal(one.ids, expected);
      equal(engine.info.memoryBytes, used, 'memory after free()');
    }),
    withEngine('an abort ends prefill and generation, and the engine goes on', async (engine, { halfspace }) => {
      const soon = new AbortController();
      await fails(halfspace, () => engine.prefill(PROMPT.repeat(6), { signal: soon.signal, onPrefill: () => soon.abort() }), {
        code: 'aborted',
      });
      const later = new AbortController();
      let seen = 0;
      const abortThird = async () => {
        for await (const _piece of engine.generate(PROMPT, { signal: later.signal, maxTokens: 50 })) if (++seen === 3) later.abort();
      };
      await fails(halfspace, abortThird, { code: 'aborted' });
      equal(seen, 3);
      equal(await greedy(engine), GREEDY);
    }),
    {
      name: 'an abort ends loading',
      run: async (setting) =>
        void (await fails(setting.halfspace, () => loadModel(setting, { signal: AbortSignal.abort() }), { code: 'aborted' })),
    },
    withEngine('a generation that is left gives its memory back', async (engine) => {
      let used = 0;
      for (let round = 0; round < 3; round++) {
        for await (const _piece of engine.generate(PROMPT, { maxTokens: 50 })) break;
        // The first one leaves scratch for all that come.
        used ||= engine.info.memoryBytes;
      }
      equal(engine.info.memoryBytes, used);
    }),
  ],
  Tokenizer: [
    withEngine('text comes back', async (engine) => {
      for (const text of ['plain', 'naïve 🦙 – 半空間', '\n\ttabs  and spaces ']) {
        const ids = engine.tokenize(text, { addSpecial: false });
        // The vocabulary has no token for the space alone, and writes it as bytes of its mark.
        equal(engine.detokenize(ids).replaceAll('\u2581', ' ').trimStart(), text.trimStart());
      }
    }),
    withEngine('BOS comes first, where it is asked for', async (engine) => {
      const [bos, ...rest] = engine.tokenize('ab');
      equal(bos, 1);
      equal(engine.tokenize('ab', { addSpecial: false }), rest);
    }),
    withEngine('a model without a chat template says so', async (engine, { halfspace }) => {
      const chat = () => engine.chatTokens([{ role: 'user', content: 'Hello' }]);
      await fails(halfspace, chat, { code: 'unsupported', field: 'tokenizer.chat_template' });
    }),
  ],
};
