/** What stands in a page for web/cli/common.js: paths are URLs, and there is no terminal to show progress on. */
import { engineOptions } from '../../web/cli/engine-options.js';
import { Engine } from '../../web/engine.js';

/** @param {import('../../web/cli/engine-options.js').ModelOptions} options */
export const loadEngine = (options) => Engine.load(new URL(options.model, location.origin), engineOptions(options));

/** @param {string} url */
export const readText = async (url) => (await fetch(url)).text();

export const progress = () => ({ update() {}, stop() {} });
