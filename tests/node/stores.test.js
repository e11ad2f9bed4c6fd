/** Stores in memory and in files: what every store does, and what is left after a kill at any step of a put. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as nodeFs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { openFileStore, openMemoryStore } from '../../web/node.js';
import { FaultPlan } from '../suites/faults.js';
import { contentOf, equalBytes, inPieces, storeSuite } from '../suites/store.js';
import { failure } from './helpers/failure.js';
import { faultyFs } from './helpers/faulty-fs.js';
import { KEPT, NEW, OLD } from './helpers/store-contents.js';

const CHILD = fileURLToPath(new URL('helpers/store-child.js', import.meta.url));
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

async function prepared() {
  const folder = newFolder();
  const store = await openFileStore(folder);
  await store.put('kept', KEPT);
  await store.put('a', OLD);
  return folder;
}

/** What a has after a failure: all of the old, all of the new, or nothing. Anything else fails. @param {string} folder */
async function whatLoads(folder) {
  const store = await openFileStore(folder);
  assert.ok(equalBytes(await contentOf(store, 'kept'), KEPT), 'the other entry is whole');
  const names = (await store.list()).map(({ name }) => name);
  assert.deepEqual(await nodeFs.readdir(folder), names, 'nothing is left over');
  if (!names.includes('a')) return 'none';
  const content = await contentOf(store, 'a');
  const isNew = equalBytes(content, NEW);
  assert.ok(isNew || equalBytes(content, OLD), `${content.length} bytes that are neither the old nor the new`);
  await store.put('a', NEW);
  assert.ok(equalBytes(await contentOf(store, 'a'), NEW), 'a put afterwards');
  return isNew ? 'new' : 'old';
}

/** What a process leaves that died before its own files could be told from those of this one. @param {string} folder */
async function diedLongAgo(folder) {
  for (const file of await nodeFs.readdir(folder))
    if (file.includes('~')) await nodeFs.utimes(join(folder, file), new Date(0), new Date(0));
}

for (const what of /** @type {const} */ (['put', 'delete']))
  test(`files: dead at every step of a ${what}`, async () => {
    const found = { old: 0, new: 0, none: 0 };
    for (let at = 1; ; at++) {
      const folder = await prepared();
      const plan = new FaultPlan(at);
      const run = async () => {
        const store = await openFileStore(folder, { fs: faultyFs(plan) });
        await (what === 'put' ? store.put('a', inPieces(NEW)) : store.delete('a'));
      };
      const error = await run().then(
        () => undefined,
        (e) => e,
      );
      await plan.settled();
      await diedLongAgo(folder);
      const loads = await whatLoads(folder);
      if (!plan.reached) {
        assert.equal(error, undefined);
        assert.equal(loads, what === 'put' ? 'new' : 'none');
        break;
      }
      assert.ok(failure('io', 'name')(error), `step ${at}: ${error}`);
      found[loads]++;
    }
    // The last step, which syncs the folder, finds the change made.
    assert.deepEqual(found, what === 'put' ? { old: 8, new: 1, none: 0 } : { old: 2, new: 0, none: 1 });
  });

test('files: killed at every step of a put', { timeout: 600_000 }, async () => {
  const found = { old: 0, new: 0, none: 0 };
  for (let at = 1; ; at++) {
    const folder = await prepared();
    const child = spawn(process.execPath, [CHILD, folder, String(at)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [text] = await once(child.stdout, 'data');
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    const loads = await whatLoads(folder);
    if (String(text) === 'done\n') {
      assert.equal(loads, 'new');
      break;
    }
    assert.equal(String(text), 'here\n');
    found[loads]++;
  }
  assert.deepEqual(found, { old: 8, new: 1, none: 0 });
});

test('files: no space at every step of a put', async () => {
  let quota = 0;
  for (let at = 1; ; at++) {
    const folder = await prepared();
    const plan = new FaultPlan(at + 1, () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }));
    const store = await openFileStore(folder, { fs: faultyFs(plan) });
    const error = await store.put('a', inPieces(NEW)).catch((e) => e);
    if (!plan.reached) break;
    assert.ok(failure('quota', 'disk', 'ENOSPC')(error), `step ${at}: ${error}`);
    quota++;
    assert.equal((await nodeFs.readdir(folder)).length, 2, 'the draft is gone');
    await store.put('a', NEW);
    assert.ok(equalBytes(await contentOf(store, 'a'), NEW), 'the same store goes on');
  }
  assert.equal(quota, 8);
});

test('files: drafts of processes that run are left alone, others are not', async () => {
  const folder = await prepared();
  const dead = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(dead, 'exit');
  const [own, parent, gone] = [process.pid, process.ppid, dead.pid].map((pid) => `a~${pid}~00ff`);
  const former = `a~${process.pid}~ffff`;
  for (const file of [own, parent, gone, former, 'README', '.hidden']) await nodeFs.writeFile(join(folder, file), 'x');
  await nodeFs.utimes(join(folder, former), new Date(0), new Date(0));
  const store = await openFileStore(folder, { maxBytes: OLD.length + KEPT.length });
  assert.deepEqual((await nodeFs.readdir(folder)).toSorted(), ['.hidden', 'README', 'a', own, parent, 'kept'].toSorted());
  assert.equal((await store.list()).length, 2);
  await store.evict(0);
  assert.deepEqual((await nodeFs.readdir(folder)).toSorted(), ['.hidden', 'README', own, parent].toSorted());
});

test('files: a folder that cannot be', async () => {
  const file = join(root, 'file');
  await nodeFs.writeFile(file, '');
  await assert.rejects(openFileStore(file), failure('io', 'name', file));
  const store = await openFileStore(newFolder());
  assert.equal(await store.persist(), true);
  assert.equal(await openMemoryStore().persist(), false);
});
