/** The page that every bundler builds: what it does is called by the test. */
import { Engine, HalfspaceError } from 'halfspace';
import { HsrIndex } from 'halfspace/attention';

globalThis.app = {
  /** @param {object} options of Engine.load() */
  async generate(options) {
    const engine = await Engine.load('model.gguf', options);
    const ids = [];
    for await (const { id } of engine.generate('Once upon', { maxTokens: 8 })) ids.push(id);
    const { threads } = engine.info;
    const answer = engine.tokenize('Once');
    const typed = await engine.prefill([]).catch((error) => error instanceof HalfspaceError && error.code);
    engine.close();
    return { ids, threads, typed, inWorker: answer instanceof Promise };
  },

  failing: (options) => Engine.load('model.gguf', options).then(String, ({ code }) => code),

  /** Terminates its worker, of those that the test notes, while it works. */
  async lose() {
    const engine = await Engine.load('model.gguf');
    const waiting = engine.perplexity('Once upon a time, and then once more');
    globalThis.workers[0].terminate();
    return waiting.then(String, (error) => error instanceof HalfspaceError && error.code);
  },

  async search() {
    const keys = new Float32Array(3 * 16);
    keys.set([1, 0], 0);
    keys.set([-1, 1], 16);
    keys.set([2, 2], 32);
    const index = await HsrIndex.create({ headDim: 16, keys });
    return [...index.report(keys.subarray(0, 16), 0.5).positions].sort();
  },

  /** Against the policy; later, as what a test calls at once may do anything. */
  async compile() {
    await new Promise((resolve) => setTimeout(resolve));
    return new Function('return 1')();
  },
};
