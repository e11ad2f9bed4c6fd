/** Bundles a module of this folder for a page: bare imports, and code for Node.js that a page never runs. */
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

/**
 * @param {string} name of the file
 * @returns {Promise<string>} its path on the server
 */
export async function bundled(name) {
  await build({
    entryPoints: [fileURLToPath(new URL(name, import.meta.url))],
    outdir: fileURLToPath(new URL('../../build/bench-pages', import.meta.url)),
    bundle: true,
    format: 'esm',
    splitting: true,
    target: 'es2022',
    external: ['node:*', 'fs', 'fs/promises', 'url', 'path', 'stream', '/peers/*'],
    logLevel: 'warning',
  });
  return `/build/bench-pages/${name}`;
}
