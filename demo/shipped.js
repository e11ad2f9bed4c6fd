/** The served folder's documents.json: which documents there are, and which of them can be opened without being read. */
import { spawn } from 'node:child_process';
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { shippedDocuments, SNAPSHOTS } from './snapshots.js';

/**
 * @typedef {import('./snapshots.js').Shipped & {snapshot?: import('./snapshots.js').Snapshot, preparing?: number, failed?: string}} Listed
 *   paths are relative to the folder; preparing: how much of its snapshot is done, 0..1; failed: why there is none
 */

/**
 * Lists the shipped documents in a folder, and makes the snapshots that are missing, by a process of its own. The list is there when
 * this returns, and is written anew as snapshots become ready.
 * @param {string} folder
 * @param {string} model path
 * @param {{tokens?: number, low?: boolean}} [options] tokens: most of each document, for tests; 0: no snapshots. low: at the lowest
 *   priority
 * @returns {Promise<{done: Promise<void>, stop: () => void}>} done: all are ready; rejects where that failed
 */
export async function prepareSnapshots(folder, model, { tokens, low = false } = {}) {
  /** @type {Listed[]} */
  const list = (await shippedDocuments()).map((shipped) => ({ ...shipped, file: `documents/${shipped.file}` }));
  let writing = Promise.resolve();
  const write = () => (writing = writing.then(() => writeWhole(join(folder, 'documents.json'), JSON.stringify(list))));
  if (tokens === 0) {
    await write();
    return { done: writing, stop: () => {} };
  }
  for (const listed of list) listed.preparing = 0;
  await write();

  const script = fileURLToPath(new URL('snapshots.js', import.meta.url));
  const args = ['--model', model, ...(tokens === undefined ? [] : ['--tokens', String(tokens)]), ...(low ? ['--low'] : [])];
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => void child.kill();
  process.once('exit', stop);
  let words = '';
  child.stderr.on('data', (text) => (words += text));
  const ended = new Promise((resolve) => child.on('close', resolve));

  const follow = async () => {
    for await (const line of createInterface(child.stdout)) {
      /** @type {import('./snapshots.js').Progress} */
      const { id, done = 0, total = 1, snapshot } = JSON.parse(line);
      const listed = /** @type {Listed} */ (list.find((one) => one.id === id));
      listed.preparing = done / total;
      if (snapshot) {
        await linkTo(join(SNAPSHOTS, snapshot.file), join(folder, 'documents', snapshot.file));
        listed.snapshot = { ...snapshot, file: `documents/${snapshot.file}` };
        delete listed.preparing;
      }
      await write();
    }
    const code = await ended;
    process.off('exit', stop);
    if (code === 0) return;
    const why = /\w*Error: (.+)/.exec(words)?.[1] ?? `it ended with ${code}`;
    for (const listed of list.filter(({ snapshot }) => !snapshot)) {
      delete listed.preparing;
      listed.failed = why;
    }
    await write();
    throw new Error(`no snapshots of the documents: ${why}`);
  };
  return { done: follow(), stop };
}

/** @param {string} path @param {string} text */
async function writeWhole(path, text) {
  await writeFile(`${path}~`, text);
  await rename(`${path}~`, path);
}

/** @param {string} target @param {string} path */
async function linkTo(target, path) {
  await rm(path, { force: true });
  await symlink(target, path);
}
