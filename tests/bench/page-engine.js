/** Our engine in a page, where decoding and prefill are timed beside peers: what page-subject.js calls. */
import { profileBuilds } from '../../web/cli/bench/phases.js';
import { Session } from '../../web/cli/bench/session.js';
import { loadEngine } from './page-common.js';

/** @type {Session} */
let session;

/** @type {any} */ (globalThis).bench = {
  /**
   * @param {import('../../web/cli/engine-options.js').ModelOptions & {profile?: boolean}} options model: URL
   * @param {number} capacity
   */
  async load(options, capacity) {
    const wasm = options.profile ? profileBuilds(new URL('/build/', location.origin)) : undefined;
    session = new Session(await loadEngine({ ...options, wasm }), capacity);
    const { variant, threads } = session.engine.info;
    return { variant, threads };
  },
  tokenize: (/** @type {string} */ text) => session.engine.tokenize(text),
  detokenize: (/** @type {number[]} */ ids) => session.engine.detokenize(ids),
  prefill: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.prefill(ids, mode),
  round: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.round(ids, mode),
  profileRound: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.profileRound(ids, mode),
  profilePrefill: (/** @type {number[]} */ ids, /** @type {'dense' | 'hsr'} */ mode) => session.profilePrefill(ids, mode),
  reset: () => session.reset(),
};
