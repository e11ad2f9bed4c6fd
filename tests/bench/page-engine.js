/** Our engine in a page: what page-subject.js calls. */
import { Session } from '../../web/cli/bench/session.js';
import { Engine } from '../../web/engine.js';

/** @type {Session} */
let session;

/** @type {any} */ (globalThis).bench = {
  /** @param {string} model URL @param {import('../../web/engine.js').EngineOptions} options @param {number} capacity */
  async load(model, options, capacity) {
    const wasm = {
      relaxed: new URL('/build/halfspace.relaxed.wasm', location.origin),
      simd: new URL('/build/halfspace.simd.wasm', location.origin),
    };
    const engine = await Engine.load(new URL(model, location.origin), { ...options, wasm });
    session = new Session(engine, capacity);
    return engine.info.variant;
  },
  tokenize: (/** @type {string} */ text) => session.engine.tokenize(text),
  detokenize: (/** @type {number[]} */ ids) => session.engine.detokenize(ids),
  prefill: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.prefill(ids, mode),
  round: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.round(ids, mode),
  reset: () => session.reset(),
};
