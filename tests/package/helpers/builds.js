/** One page, built by every bundler with as few settings as it can do with, and by none. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { build as esbuild } from 'esbuild';
import { build as vite } from 'vite';
import webpack from 'webpack';

/** Copies the package's scripts and WebAssembly beside a page. @param {string} folder @param {string} out */
async function copyPackage(folder, out) {
  const from = join(folder, 'node_modules/halfspace/build');
  for (const name of await readdir(from)) if (name.startsWith('halfspace')) await cp(join(from, name), join(out, name));
}

/** Each is given the installed package's folder, and where the page goes. @type {Record<string, (folder: string, out: string) => Promise<void>>} */
export const BUILDS = {
  async vite(folder, out) {
    await vite({ root: folder, configFile: false, logLevel: 'error', build: { outDir: out } });
  },

  async webpack(folder, out) {
    const stats = await new Promise((resolve, reject) =>
      webpack(
        // Its hint about assets above 244 KiB is for what a page waits for: of four builds of the core one is fetched, later.
        {
          context: folder,
          entry: './app.js',
          mode: 'production',
          performance: { hints: false },
          output: { path: out, filename: 'app.js' },
        },
        (error, result) => (error ? reject(error) : resolve(result)),
      ),
    );
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString());
    await cp(join(folder, 'index.html'), join(out, 'index.html'));
  },

  async esbuild(folder, out) {
    await esbuild({ absWorkingDir: folder, entryPoints: ['app.js'], outdir: out, bundle: true, format: 'esm', logLevel: 'error' });
    await cp(join(folder, 'index.html'), join(out, 'index.html'));
    await copyPackage(folder, out);
  },

  async none(folder, out) {
    await mkdir(out);
    const app = await readFile(join(folder, 'app.js'), 'utf8');
    const entries = { "'halfspace'": "'./halfspace.js'", "'halfspace/attention'": "'./halfspace-attention.js'" };
    await writeFile(
      join(out, 'app.js'),
      Object.entries(entries).reduce((text, [name, path]) => text.replace(name, path), app),
    );
    await cp(join(folder, 'index.html'), join(out, 'index.html'));
    await copyPackage(folder, out);
  },
};
