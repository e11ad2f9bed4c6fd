/** Our engine in a page, where decoding and prefill are timed beside peers: what page-subject.js calls. */
import { Session } from '../../web/cli/bench/session.js';
import { loadEngine } from './page-common.js';

/** @type {Session} */
let session;

/** @type {any} */ (globalThis).bench = {
  /** @param {import('../../web/cli/engine-options.js').ModelOptions} options model: URL @param {number} capacity */
  async load(options, capacity) {
    session = new Session(await loadEngine(options), capacity);
    return session.engine.info.variant;
  },
  tokenize: (/** @type {string} */ text) => session.engine.tokenize(text),
  detokenize: (/** @type {number[]} */ ids) => session.engine.detokenize(ids),
  prefill: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.prefill(ids, mode),
  round: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.round(ids, mode),
  reset: () => session.reset(),
};
