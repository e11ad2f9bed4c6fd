/** Bundles a module of this folder for a page, where some modules of the command line have stand-ins. */
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const local = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @type {import('esbuild').Plugin} */
const standIns = {
  name: 'stand-ins',
  setup({ onResolve }) {
    onResolve({ filter: /\/(common|report|checkout)\.js$/ }, ({ path, resolveDir }) =>
      resolveDir.includes('/web/cli') ? { path: local(`page-${basename(path)}`) } : undefined,
    );
  },
};

/**
 * @param {string} name of the file
 * @returns {Promise<string>} its path on a server that has the WebAssembly builds in /build/
 */
export async function bundled(name) {
  await build({
    // The engine starts its threads from a script beside it.
    entryPoints: { [basename(name, '.js')]: local(name), 'thread-worker': local('../../web/core/thread-worker.js') },
    outdir: local('../../build/bench-pages'),
    bundle: true,
    format: 'esm',
    // Code for Node.js alone stays in chunks of its own, which a page never loads.
    splitting: true,
    target: 'es2022',
    external: ['node:*', 'fs', 'fs/promises', 'url', 'path', 'stream', '/peers/*'],
    plugins: [standIns],
    logLevel: 'warning',
  });
  return `/pages/${name}`;
}
