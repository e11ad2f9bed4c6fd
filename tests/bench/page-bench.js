/** Whole benches in a page: what whole-bench.js calls. */
import { attentionStep } from '../../web/cli/bench/attention.js';
import { quality } from '../../web/cli/bench/quality.js';
import { scaling } from '../../web/cli/bench/scaling.js';
import { theory } from '../../web/cli/bench/theory.js';
import { noted } from './page-report.js';

/** @type {Record<string, (options: any) => Promise<void>>} */
const BENCHES = { attention: attentionStep, quality, scaling, theory };

/** @type {any} */ (globalThis).bench = {
  /** @param {string} name @param {object} options */
  async run(name, options) {
    await BENCHES[name](options);
    return noted();
  },
};
