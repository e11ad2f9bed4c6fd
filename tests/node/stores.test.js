/** Stores in memory and in files: what every store does, and what is left after a kill at any step of a put. */
import * as nodeFs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { openFileStore, openMemoryStore } from '../../web/node.js';
import { storeSuite } from '../suites/store.js';

let root = '';
let folders = 0;

before(async () => {
  root = await nodeFs.mkdtemp(join(tmpdir(), 'halfspace-stores-'));
});
after(() => nodeFs.rm(root, { recursive: true }));

const newFolder = () => join(root, String(folders++), 'nested');

/** @type {() => import('../suites/store.js').Kind} */
function fileKind() {
  let folder = '';
  return {
    fresh: (options) => openFileStore((folder = newFolder()), options),
    again: (options) => openFileStore(folder, options),
    files: async () => (await nodeFs.readdir(folder)).length,
  };
}

for (const [name, run] of Object.entries(storeSuite)) {
  test(`memory: ${name}`, () => run({ fresh: async (options) => openMemoryStore(options), again: undefined }));
  test(`files: ${name}`, () => run(fileKind()));
}
