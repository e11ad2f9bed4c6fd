/** Kernels measured alone (kernels/bench.h): in WebAssembly here or in a page, and natively. `make bench-builds` compiles them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { openPage } from './browser.js';
import { bundled } from './bundle.js';
import { notBuilt } from './installed.js';
import { WasmKernels } from './wasm-kernels.js';

const NATIVE = fileURLToPath(new URL('../../build/kernels.native', import.meta.url));

/**
 * @typedef {object} Kernels one build of the driver; a kernel is prepared, then run
 * @property {string} name
 * @property {(index: number) => Promise<void>} prepare
 * @property {(what: 'kernel' | 'loop', passes: number) => Promise<number>} run milliseconds
 * @property {() => Promise<number>} error of the kernel's last run, relative
 * @property {() => Promise<void>} close
 *
 * @typedef {Kernels & {variant: import('../../web/core/wasm-loader.js').Variant, runtime: string | undefined, names: string[],
 *   work: () => Promise<{operations: number, bytes: number}>}} MeasuredKernels work: of one pass of what was prepared
 */

/**
 * @param {'auto' | import('../../web/core/wasm-loader.js').Variant | undefined} variant
 * @returns {Promise<MeasuredKernels>}
 */
export async function localKernels(variant) {
  const kernels = await WasmKernels.load(variant);
  return {
    name: 'wasm',
    runtime: undefined,
    variant: kernels.variant,
    names: kernels.names(),
    prepare: async (index) => kernels.prepare(index),
    work: async () => kernels.work(),
    run: async (what, passes) => kernels.run(what, passes),
    error: async () => kernels.error(),
    close: async () => {},
  };
}

/**
 * @param {import('./browser.js').BrowserName} browser
 * @param {'auto' | import('../../web/core/wasm-loader.js').Variant | undefined} variant
 * @returns {Promise<MeasuredKernels>}
 */
export async function pageKernels(browser, variant) {
  const page = await openPage(browser, await bundled('page-kernels.js'));
  try {
    return {
      name: 'wasm',
      runtime: page.browser,
      ...(await page.call('load', variant)),
      prepare: (index) => page.call('prepare', index),
      work: () => page.call('work'),
      run: (what, passes) => page.call('run', what, passes),
      error: () => page.call('error'),
      close: page.close,
    };
  } catch (error) {
    await page.close();
    throw error;
  }
}

/** @returns {Promise<Kernels>} */
export async function nativeKernels() {
  if (!existsSync(NATIVE)) throw notBuilt(NATIVE);
  const child = spawn(NATIVE, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ask = async (/** @type {string} */ command) => {
    child.stdin.write(`${command}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(`the native kernels ended at "${command}"`);
    return Number(value);
  };
  return {
    name: 'native',
    async prepare(index) {
      if ((await ask(`p ${index}`)) !== 1) throw new Error(`the native build has no kernel ${index}`);
    },
    run: (what, passes) => ask(`${what[0]} ${passes}`),
    error: () => ask('e 0'),
    async close() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
