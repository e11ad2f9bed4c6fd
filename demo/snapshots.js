/**
 * Makes ready snapshots of the shipped documents, in build/snapshots, named by all that they depend on: what is there is not made again.
 *
 *     node demo/snapshots.js --model FILE [--tokens N] [--folder FOLDER]
 *
 * `--tokens`: most tokens of each document, for tests. Prints a line of JSON (Progress) whenever something has changed. `--low`: at the
 * lowest priority.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Engine, openFileStore } from '../web/node.js';
import { VERSION } from '../web/snapshot/format.js';
import { readable, shownPart } from './prompt.js';

/** Tokens that document, questions and answers have together: the page's default. */
const CTX = 8192;
/** Those not used for longest go first. */
const MAX_BYTES = 2e9;
const DOCUMENTS = fileURLToPath(new URL('documents/', import.meta.url));
export const SNAPSHOTS = fileURLToPath(new URL('../build/snapshots/', import.meta.url));

/**
 * @typedef {object} Shipped a document as documents/index.json has it
 * @property {string} id
 * @property {string} title
 * @property {string} about author, year, part
 * @property {string} language
 * @property {string} file beside it
 * @property {string} end the first words of it that are not shown
 * @property {string[]} questions
 *
 * @typedef {object} Snapshot of the conversation up to the end of a document, under the model's own system prompt
 * @property {string} file
 * @property {number} bytes
 * @property {number} tokens
 * @property {number} ctx that its text was cut for
 * @property {number} [limit] most tokens of the document
 * @property {string} [fingerprint] of its model
 * @property {'q8' | 'f32'} kv
 *
 * @typedef {{id: string, done?: number, total?: number, snapshot?: Snapshot}} Progress
 */

/** @returns {Promise<Shipped[]>} */
export const shippedDocuments = async () => JSON.parse(await readFile(join(DOCUMENTS, 'index.json'), 'utf8'));

/**
 * @param {string} model path
 * @param {{limit?: number, folder: string, tell: (progress: Progress) => void}} options
 */
async function makeSnapshots(model, { limit, folder, tell }) {
  const engine = await Engine.load(model, { threads: 'auto', ctx: CTX });
  const store = await openFileStore(folder, { maxBytes: MAX_BYTES });
  const there = new Map((await store.list()).map(({ name, bytes }) => [name, bytes]));
  const missing = [];
  for (const { id, file: whole, end } of await shippedDocuments()) {
    const text = shownPart(await readFile(join(DOCUMENTS, whole), 'utf8'), end);
    const { ids } = await readable(engine, text, { ctx: CTX, system: '', limit });
    const { fingerprint } = engine.config;
    const key = createHash('sha256')
      .update(JSON.stringify([VERSION, fingerprint, engine.kv, ids]))
      .digest('hex');
    const file = `${id}-${key.slice(0, 16)}.snapshot`;
    const made = { file, tokens: ids.length, ctx: CTX, limit, fingerprint, kv: engine.kv };
    const bytes = there.get(file);
    if (bytes !== undefined) tell({ id, snapshot: { ...made, bytes } });
    else missing.push({ id, ids, made });
  }
  for (const { id, ids, made } of missing) {
    const prefix = await engine.prefill(ids, { onPrefill: (done, total) => tell({ id, done, total }) });
    const { bytes } = await store.put(made.file, prefix.snapshot());
    prefix.free();
    tell({ id, snapshot: { ...made, bytes } });
  }
  engine.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = /** @type {const} */ ({
    model: { type: 'string' },
    tokens: { type: 'string' },
    folder: { type: 'string' },
    low: { type: 'boolean' },
  });
  const { model, tokens, folder = SNAPSHOTS, low } = parseArgs({ options }).values;
  if (!model) throw new Error('usage: node demo/snapshots.js --model FILE [--tokens N] [--folder FOLDER] [--low]');
  // Before the engine starts its threads: they inherit it.
  if (low) setPriority(constants.priority.PRIORITY_LOW);
  const limit = tokens === undefined ? undefined : Number(tokens);
  await makeSnapshots(model, { limit, folder, tell: (progress) => process.stdout.write(`${JSON.stringify(progress)}\n`) });
}
