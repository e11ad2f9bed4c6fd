/**
 * What a page loads, built from web/ into build/: each file whole, beside the .wasm files, so that a page can import it as it
 * is, and so that any bundler finds the others by `new URL('./name', import.meta.url)`. What is for Node.js alone is cut out.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const local = (/** @type {string} */ path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Names of scripts in build/, by those in web/. */
const SCRIPTS = new Map([
  ['worker.js', 'halfspace-worker.js'],
  ['thread-worker.js', 'halfspace-thread.js'],
]);

/** In build/ all files are in one folder. @type {import('esbuild').Plugin} */
const besideEachOther = {
  name: 'beside-each-other',
  setup({ onLoad }) {
    onLoad({ filter: /\/web\/[\w/-]+\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(
        /new URL\('([^']+)', import\.meta\.url\)/g,
        (_, url) => `new URL('./${SCRIPTS.get(basename(url)) ?? basename(url)}', import.meta.url)`,
      ),
    }));
  },
};

/** @type {import('esbuild').BuildOptions} */
const shared = {
  absWorkingDir: local(''),
  outdir: 'build',
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  metafile: true,
  define: { 'globalThis.process': 'undefined' },
  plugins: [besideEachOther],
  logLevel: 'warning',
};

// Parts have other names when they have other contents.
for (const name of await readdir(local('build'))) if (/^halfspace.*\.js$/.test(name)) await rm(local(`build/${name}`));

// What a page imports has its errors, and an engine without a worker, in common.
const page = await build({
  ...shared,
  entryPoints: { halfspace: 'web/page.js', 'halfspace-worker-engine': 'web/worker-engine.js', 'halfspace-attention': 'web/attention.js' },
  splitting: true,
  chunkNames: 'halfspace-[hash]',
});
// A worker is one file: some bundlers make classic scripts of workers, which cannot load parts.
const worker = await build({
  ...shared,
  entryPoints: { 'halfspace-worker': 'web/remote/worker.js', 'halfspace-thread': 'web/core/thread-worker.js' },
});

/** Packages that are in these files, whose licenses ask to be named. */
const packages = new Set(
  [page, worker].flatMap(({ metafile }) =>
    Object.keys(metafile?.inputs ?? {}).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  ),
);
const notices = [...packages].sort().map(async (name) => `${name}\n\n${await readFile(local(`node_modules/${name}/LICENSE`), 'utf8')}`);
await writeFile(local('build/halfspace.licenses.txt'), (await Promise.all(notices)).join('\n\n'));
