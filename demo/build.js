/** Bundles the page and its worker into build/demo: workers do not see a page's import map. */
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

await build({
  // A worker finds the threads' script beside its own.
  entryPoints: { page: 'demo/page.js', worker: 'demo/worker.js', 'thread-worker': 'web/thread-worker.js' },
  absWorkingDir: root,
  outdir: 'build/demo',
  bundle: true,
  format: 'esm',
  // Code for Node.js alone stays in chunks of its own, which a page never loads.
  splitting: true,
  target: 'es2022',
  sourcemap: true,
  external: ['node:*', 'fs', 'fs/promises', 'url', 'path', 'stream'],
  logLevel: 'warning',
});
