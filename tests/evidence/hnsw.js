/** hnswlib-wasm's graphs, in Node. */
import { readdir } from 'node:fs/promises';

import { installedPath, installedVersion } from '../bench/installed.js';

/** @typedef {import('./selectors.js').Graph} Graph */

/**
 * @param {{neighbours: number, buildEf: number, ef: number}} options neighbours of a key; keys looked at while building, and at least
 *   in a search
 * @returns {Promise<{version: string, build: (keys: Float32Array, headDim: number) => Graph}>}
 */
export async function hnswGraphs({ neighbours, buildEf, ef }) {
  const version = await installedVersion('hnswlib-wasm');
  // It was compiled for pages and their workers, and looks for what these have and Node has not.
  Object.assign(globalThis, { importScripts: () => {} });
  // Its own loader waits for a file system of pages, too.
  const dist = installedPath('hnswlib-wasm/dist');
  const name = (await readdir(dist)).find((file) => /^hnswlib-\w+\.js$/.test(file));
  const { HierarchicalNSW } = await (await import(`file://${dist}/${name}`)).default();
  const SEED = 100;
  return {
    version,
    build(keys, headDim) {
      const size = keys.length / headDim;
      const graph = new HierarchicalNSW('ip', headDim, '');
      graph.initIndex(size, neighbours, buildEf, SEED);
      for (let i = 0; i < size; i++) graph.addPoint(keys.subarray(i * headDim, (i + 1) * headDim), i, false);
      return {
        size,
        search(query, r) {
          graph.setEfSearch(Math.max(ef, r));
          /** @type {{neighbors: number[], distances: number[]}} */
          const { neighbors, distances } = graph.searchKnn(query, Math.min(r, size), undefined);
          return neighbors
            .map((position, i) => ({ position, distance: distances[i] }))
            .toSorted((a, b) => a.distance - b.distance)
            .map(({ position }) => position);
        },
      };
    },
  };
}
