/** Runs the suite in a page, from the modules as they are: no bundler, no build. */
import * as attention from '../../web/attention.js';
import * as engine from '../../web/index.js';
import { runSuites } from '../suites/index.js';

/** @type {any} */ (globalThis).runInPage = async (/** @type {{url: string, allowed: string[]}} */ { url, allowed }) =>
  runSuites({
    halfspace: { ...engine, ...attention },
    build: { variant: 'simd' },
    relaxed: { variant: 'relaxed' },
    model: new Uint8Array(await (await fetch(url)).arrayBuffer()),
    url,
    allowed,
  });
