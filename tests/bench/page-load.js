/** A model's first token in a page: what load.js calls. */
import { firstToken } from '../../web/cli/bench/first-token.js';

/** @type {Blob} */
let file;

/** @type {any} */ (globalThis).bench = {
  /** Before anything is timed: as a file that a user has chosen. @param {string} model URL */
  async open(model) {
    file = await (await fetch(model)).blob();
  },
  /** @param {import('../../web/cli/engine-options.js').ModelOptions} options @param {string} prompt */
  load: (options, prompt) => firstToken(file, options, prompt),
};
