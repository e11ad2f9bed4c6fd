/**
 * Fills a folder for the worker: snapshots of a cache and an index of one layer of SmolLM2 on the shipped book, and queries to ask.
 *
 *     node demo/edge/fill.js build/edge/store
 *     curl --data-binary @build/edge/store/book.queries.f32 'http://127.0.0.1:8787/attend/book?heads=9' | od -t f4
 *
 * `--tokens N` of the book, default 2048. A model small enough for an isolate goes beside them as model.gguf.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { HsrIndex, KvCache } from '../../web/attention.js';
import { capture } from '../../web/cli/capture.js';
import { pullModel } from '../../web/cli/pull.js';

const [LAYER, QUERIES] = [9, 16];
const BOOK = fileURLToPath(new URL('../documents/alice.txt', import.meta.url));

/**
 * Rows of every head, position by position.
 * @param {Float32Array[]} heads [tokens][headDim] each
 * @param {number} headDim
 */
function interleave(heads, headDim) {
  const tokens = heads[0].length / headDim;
  const rows = new Float32Array(tokens * heads.length * headDim);
  for (let p = 0; p < tokens; p++)
    heads.forEach((head, h) => rows.set(head.subarray(p * headDim, (p + 1) * headDim), (p * heads.length + h) * headDim));
  return rows;
}

const { values: given, positionals } = parseArgs({ allowPositionals: true, options: { tokens: { type: 'string', default: '2048' } } });
const [store] = positionals;
if (!store) throw new Error('usage: node demo/edge/fill.js FOLDER [--tokens N]');
const model = process.env.HALFSPACE_TEST_MODEL ?? (await pullModel('smollm2'));
const { layers } = await capture({ model, file: BOOK, ctx: Number(given.tokens) }, { layers: [LAYER], steps: QUERIES });
const [heads] = layers;
const [{ headDim }] = heads;
await mkdir(store, { recursive: true });
const [keys, values] = [heads.map((head) => head.keys), heads.map((head) => head.values)].map((part) => interleave(part, headDim));
const cache = await KvCache.create({ headDim, kvHeads: heads.length });
cache.append({ keys, values });
await writeFile(join(store, 'book.cache'), cache.readable());
// Of every KV head: position times KV heads, plus KV head.
await writeFile(join(store, 'book.index'), (await HsrIndex.create({ headDim, keys })).readable());
// Query heads of all KV heads, in order.
const queries = Array.from({ length: QUERIES }, (_, i) => heads.map((head) => Buffer.from(new Uint8Array(head.queries[i].slice().buffer))));
await writeFile(join(store, 'book.queries.f32'), Buffer.concat(queries.flat()));
