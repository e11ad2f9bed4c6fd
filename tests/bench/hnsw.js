/** hnswlib-wasm against our index, both in Chromium: time, recall, and the softmax mass of the keys that are found. */
import { openPage } from './browser.js';
import { bundled } from './bundle.js';
import { installedVersion } from './installed.js';

/** @param {Float32Array} floats */
const base64 = (floats) => Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength).toString('base64');

/**
 * @param {{keys: Float32Array, queries: Float32Array, headDim: number}[]} tasks one KV head each
 * @param {{r: number, efs: number[]}} options
 * @returns {Promise<{version: string, results: import('../../web/cli/bench/top.js').Top[][]}>} per task
 */
export async function hnswTop(tasks, { r, efs }) {
  const version = await installedVersion('hnswlib-wasm');
  const page = await openPage('chromium', await bundled('page-hnsw.js'));
  try {
    const results = [];
    for (const { keys, queries, headDim } of tasks)
      results.push(await page.call('top', { keys: base64(keys), queries: base64(queries), headDim, r, efs }));
    return { version: `${version}, ${page.browser}`, results };
  } finally {
    await page.close();
  }
}
