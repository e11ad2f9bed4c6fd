/** Bundles the worker into build/edge, beside its configuration and the WebAssembly module, which workerd compiles ahead. */
import { copyFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { build } from 'esbuild';

const local = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * @param {string} entry
 * @param {string} folder gets worker.js and the modules of WebAssembly that it imports
 */
export async function bundleWorker(entry, folder) {
  await build({
    entryPoints: { worker: entry },
    outdir: folder,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    loader: { '.wasm': 'copy' },
    assetNames: '[name]',
    logLevel: 'warning',
  });
}

/** @param {string} folder */
export async function buildDemo(folder) {
  await bundleWorker(local('worker.js'), folder);
  await copyFile(local('config.capnp'), `${folder}/config.capnp`);
}

if (import.meta.url === pathToFileURL(argv[1]).href) await buildDemo(local('../../build/edge'));
