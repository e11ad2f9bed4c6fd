/**
 * Fills a folder for the worker: keys and values of one layer of SmolLM2 on the shipped book, in chunks, and queries to ask.
 *
 *     node demo/edge/fill.js build/edge/store
 *     curl --data-binary @build/edge/store/book.queries.f32 'http://127.0.0.1:8787/attend/book?heads=9' | od -t f4
 *
 * A model small enough for an isolate goes beside them as model.gguf.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

import { capture } from '../../web/cli/capture.js';
import { pullModel } from '../../web/cli/pull.js';

const [LAYER, TOKENS, QUERIES, CHUNK] = [9, 2048, 16, 512];
const BOOK = fileURLToPath(new URL('../documents/alice.txt', import.meta.url));

/**
 * Rows from..to-1 of every head, position by position.
 * @param {Float32Array[]} heads [tokens][headDim] each
 * @param {number} headDim
 * @param {number} from
 * @param {number} to
 */
function interleave(heads, headDim, from, to) {
  const rows = new Float32Array((to - from) * heads.length * headDim);
  for (let p = from; p < to; p++)
    heads.forEach((head, h) => rows.set(head.subarray(p * headDim, (p + 1) * headDim), ((p - from) * heads.length + h) * headDim));
  return rows;
}

const [, , store] = argv;
if (!store) throw new Error('usage: node demo/edge/fill.js FOLDER');
const model = process.env.HALFSPACE_TEST_MODEL ?? (await pullModel('smollm2'));
const { layers } = await capture({ model, file: BOOK, ctx: TOKENS }, { layers: [LAYER], steps: QUERIES });
const [heads] = layers;
const [{ headDim }] = heads;
await mkdir(store, { recursive: true });
const chunks = [];
for (let from = 0; from < TOKENS; from += CHUNK) {
  const name = `book.${from / CHUNK}.f32`;
  const parts = [heads.map(({ keys }) => keys), heads.map(({ values }) => values)];
  const bytes = parts.map((part) => new Uint8Array(interleave(part, headDim, from, from + CHUNK).buffer));
  await writeFile(join(store, name), Buffer.concat(bytes));
  chunks.push(name);
}
await writeFile(join(store, 'book.json'), JSON.stringify({ headDim, kvHeads: heads.length, type: 'q8', chunks }));
// Query heads of all KV heads, in order.
const queries = Array.from({ length: QUERIES }, (_, i) => heads.map((head) => Buffer.from(new Uint8Array(head.queries[i].slice().buffer))));
await writeFile(join(store, 'book.queries.f32'), Buffer.concat(queries.flat()));
