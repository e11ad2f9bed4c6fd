/** The OPFS store on a file system in memory: what the browsers' tests run as well, and failures that a browser cannot be made to have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openOpfsStore } from '../../web/stores/opfs.js';
import { FaultPlan } from '../suites/faults.js';
import { faultyDirectory } from '../suites/faulty-opfs.js';
import { actions } from '../suites/opfs.js';
import { contentOf, equalBytes, inPieces } from '../suites/store.js';
import { failure } from './helpers/failure.js';
import { createSite, inSite } from './helpers/opfs.js';
import { KEPT, NEW, OLD } from './helpers/store-contents.js';

const FOLDER = 'halfspace';
const SLOT_BYTES = 4096;

/** @param {import('./helpers/opfs.js').Site} site */
const folderOf = async (site) => (await site.navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });

/** @param {any} directory @returns {Promise<string[]>} */
async function filesOf(directory) {
  const files = [];
  for await (const name of directory.keys()) files.push(name);
  return files;
}

/** @param {any} directory @param {string} name @param {(text: string) => string} change */
async function rewrite(directory, name, change) {
  const file = await directory.getFileHandle(name, { create: true });
  const text = await (await file.getFile()).text();
  const stream = await file.createWritable();
  await stream.write(change(text));
  await stream.close();
}

/** @param {import('../../web/stores/store.js').Store} store @param {string} name @param {Uint8Array} expected */
async function hasContent(store, name, expected) {
  assert.ok(equalBytes(await contentOf(store, name), expected), `${name} has what was put`);
}

/**
 * @param {any} directory
 * @param {Record<string, (...args: any[]) => unknown>} changes of its methods
 */
function changed(directory, changes) {
  return {
    ...directory,
    getDirectoryHandle: async (/** @type {any[]} */ ...args) => ({ ...(await directory.getDirectoryHandle(...args)), ...changes }),
  };
}

for (const place of /** @type {const} */ (['page', 'worker'])) {
  for (const name of await actions.suite()) test(`${place}: ${name}`, () => inSite(createSite(place), () => actions.run(name)));

  test(`${place}: dead at every step of a put, and of a delete`, () =>
    inSite(createSite(place), async () => {
      const put = await actions.deaths('put');
      assert.ok(put.steps >= 11 && put.old >= 10 && put.new >= 1 && put.none === 0, JSON.stringify(put));
      const gone = await actions.deaths('delete');
      assert.ok(gone.old >= 3 && gone.none >= 1 && gone.new === 0, JSON.stringify(gone));
    }));

  test(`${place}: no space at every step of a put`, () =>
    inSite(createSite(place), async () => assert.ok((await actions.fullAtEachStep()) >= 11)));

  for (const shortWrites of place === 'worker' ? [false, true] : [false])
    test(`${place}: more than the quota${shortWrites ? ', told by short writes' : ''}`, () => {
      const site = Object.assign(createSite(place), { quota: 4 << 20, shortWrites });
      return inSite(site, async () => {
        const { usage, quota } = await actions.putTooMuch(8 << 20);
        assert.equal(quota, site.quota);
        assert.ok(usage > 3 << 20 && usage <= quota, `${usage} of ${quota}`);
      });
    });

  test(`${place}: every step of a put fails, once, and the store goes on`, () =>
    inSite(createSite(place), async () => {
      let failed = 0;
      for (let at = 1; ; at++) {
        const site = createSite(place);
        const plan = new FaultPlan(at, () => new DOMException('the disk is gone', 'InvalidStateError'));
        const end = await inSite(site, async () => {
          await (await openOpfsStore()).put('a', OLD);
          const store = await openOpfsStore({ directory: faultyDirectory(await site.navigator.storage.getDirectory(), plan) });
          const error = await store.put('a', inPieces(NEW)).then(
            () => undefined,
            (e) => e,
          );
          if (!plan.reached) return true;
          if (error) {
            assert.ok(failure('io', 'name')(error), `step ${at}: ${error.stack}`);
            assert.match(error.message, /the disk is gone/);
            assert.equal(error.cause.name, 'InvalidStateError');
            failed++;
          }
          const content = await contentOf(store, 'a');
          assert.ok(equalBytes(content, NEW) || (error && equalBytes(content, OLD)), `step ${at}: the old or the new`);
          await store.put('a', NEW);
          await hasContent(store, 'a', NEW);
          await openOpfsStore();
          const files = await filesOf(await folderOf(site));
          assert.equal(files.filter((file) => file.startsWith('data-')).length, 1, `step ${at}: ${files}`);
          return false;
        });
        if (end) break;
      }
      assert.ok(failed >= 10, `${failed} failures`);
    }));

  test(`${place}: damaged pointers, and persistence`, () =>
    inSite(createSite(place), async () => {
      await actions.damagedSlots();
      assert.equal(await actions.persist(), place === 'page');
    }));
}

test('where there is no such file system, or no locks', async () => {
  const { storage, locks } = createSite('page').navigator;
  for (const navigator of [undefined, {}, { storage: {}, locks }, { storage }, { locks }])
    await inSite({ navigator }, () => assert.rejects(openOpfsStore(), failure('unsupported', 'navigator.storage')));
});

test('a limit that is none', () =>
  inSite(createSite('page'), () => assert.rejects(openOpfsStore({ maxBytes: 0.5 }), failure('bad-argument', 'maxBytes', 0.5))));

test('a folder that cannot be', async () => {
  const site = createSite('page');
  site.navigator.storage.getDirectory = async () => {
    throw new DOMException('denied', 'SecurityError');
  };
  await inSite(site, () => assert.rejects(openOpfsStore({ folder: 'f' }), failure('io', 'name', 'f')));
});

test('pointers of a later version, of a length that was cut, and that cannot be read', async () => {
  const site = createSite('page');
  await inSite(site, async () => {
    const { sha256OfText } = await import('../../web/bytes/sha256.js');
    const store = await openOpfsStore();
    await store.put('a', OLD);
    await store.put('b', KEPT);
    const directory = await folderOf(site);
    // The later of the two is cut: the earlier counts, which knows of no b.
    await rewrite(directory, 'slot-0', (text) => text.slice(0, text.length >> 1));
    assert.deepEqual(
      (await store.list()).map(({ name }) => name),
      ['a'],
    );
    await rewrite(directory, 'slot-0', () => 'no line feed');
    assert.deepEqual(
      (await store.list()).map(({ name }) => name),
      ['a'],
    );
    const body = JSON.stringify({ version: 2, sequence: 9, entries: [] });
    await rewrite(directory, 'slot-0', () => `${sha256OfText(body)}\n${body}`);
    await assert.rejects(store.list(), (error) => failure('unsupported', 'version', 2)(error) && /** @type {any} */ (error).limit === 1);
    await assert.rejects(openOpfsStore(), failure('unsupported', 'version', 2));
  });
  await inSite(site, async () => {
    const getFileHandle = async () => {
      throw new DOMException('the disk is gone', 'NotReadableError');
    };
    const directory = changed(await site.navigator.storage.getDirectory(), { getFileHandle });
    await assert.rejects(openOpfsStore({ directory }), failure('io', 'name', FOLDER));
  });
});

test('a data file that is shorter than what was put, or gone', async () => {
  const site = createSite('page');
  await inSite(site, async () => {
    const store = await openOpfsStore();
    await store.put('a', OLD);
    const directory = await folderOf(site);
    const [data] = (await filesOf(directory)).filter((file) => file.startsWith('data-'));
    await rewrite(directory, data, () => 'x'.repeat(OLD.length - 1));
    const short = (/** @type {any} */ error) => failure('bad-file', 'size', OLD.length - 1)(error) && error.limit === OLD.length;
    await assert.rejects(store.open('a'), short);
    // The lock was given back: what is not held is removed once it is replaced.
    await store.put('a', NEW);
    const dataNow = (await filesOf(directory)).filter((file) => file.startsWith('data-'));
    assert.ok(dataNow.length === 1 && dataNow[0] !== data, String(dataNow));
    await hasContent(store, 'a', NEW);
    await directory.removeEntry(dataNow[0]);
    await assert.rejects(store.open('a'), failure('io', 'name', FOLDER));
    assert.equal(await store.delete('a'), true);
    assert.deepEqual((await filesOf(directory)).sort(), ['slot-0', 'slot-1']);
  });
});

test('a file that is busy for a moment, and one that stays busy', async () => {
  const site = createSite('worker');
  await inSite(site, async () => {
    const store = await openOpfsStore();
    await store.put('a', OLD);
    const directory = await folderOf(site);
    const slots = await Promise.all(['slot-0', 'slot-1'].map((name) => directory.getFileHandle(name, { create: true })));
    const held = await Promise.all(slots.map((slot) => slot.createSyncAccessHandle()));
    await assert.rejects(store.put('a', NEW), failure('io', 'name', FOLDER));
    await hasContent(store, 'a', OLD);
    setTimeout(() => held.forEach((access) => access.close()), 60);
    await store.put('a', NEW);
    await hasContent(store, 'a', NEW);
  });
});

test('what a killed tab left is removed, unless it is held', async () => {
  const site = createSite('page');
  await inSite(site, async () => {
    const directory = await folderOf(site);
    for (const name of ['data-left', 'data-left.crswap', 'data-locked', 'data-open']) await rewrite(directory, name, () => 'x');
    const open = await (await directory.getFileHandle('data-open')).createWritable();
    await site.navigator.locks.request(`halfspace/${FOLDER}/data-locked`, async () => {
      await openOpfsStore();
      assert.deepEqual(await filesOf(directory), ['data-locked', 'data-open']);
    });
    await open.close();
    await openOpfsStore();
    assert.deepEqual(await filesOf(directory), []);
    // Another tab was first.
    await rewrite(directory, 'data-left', () => 'x');
    const removeEntry = async (/** @type {string} */ name) => {
      await directory.removeEntry(name);
      await directory.removeEntry(name);
    };
    await openOpfsStore({ directory: changed(await site.navigator.storage.getDirectory(), { removeEntry }) });
    assert.deepEqual(await filesOf(directory), []);
    await rewrite(directory, 'data-left', () => 'x');
    const denied = async () => {
      throw new DOMException('denied', 'SecurityError');
    };
    const directoryDenied = changed(await site.navigator.storage.getDirectory(), { removeEntry: denied });
    await assert.rejects(openOpfsStore({ directory: directoryDenied }), failure('io', 'name', FOLDER));
  });
});

test('a use is on the disk when the one before is a minute old, and lost where the disk is full', async (t) => {
  const site = createSite('worker');
  await inSite(site, async () => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
    const used = async () => (await (await openOpfsStore()).list()).map((entry) => entry.used);
    const store = await openOpfsStore();
    await store.put('a', OLD);
    t.mock.timers.tick(59_000);
    await (await store.open('a')).close();
    assert.deepEqual(await used(), [1_000_000], 'not written yet');
    assert.deepEqual(
      (await store.list()).map((entry) => entry.used),
      [1_059_000],
    );
    t.mock.timers.tick(1_000);
    await (await store.open('a')).close();
    assert.deepEqual(await used(), [1_060_000]);
    t.mock.timers.tick(60_000);
    site.quota = 0;
    await hasContent(store, 'a', OLD);
    assert.deepEqual(await used(), [1_060_000], 'no room to write it');
    assert.deepEqual(
      (await store.list()).map((entry) => entry.used),
      [1_120_000],
    );
    await assert.rejects(store.put('a', NEW), (error) => failure('quota', 'storage')(error) && /** @type {any} */ (error).limit === 0);
    site.quota = OLD.length + NEW.length + 2 * SLOT_BYTES;
    await store.put('a', NEW);
    await hasContent(store, 'a', NEW);
  });
});

test('a lock that is not given', async () => {
  const site = createSite('page');
  const { locks } = site.navigator;
  await inSite(site, async () => {
    const store = await openOpfsStore();
    await store.put('a', OLD);
    site.navigator.locks = {
      request: (/** @type {string} */ name, /** @type {any[]} */ ...args) =>
        name.includes('/data-') ? Promise.reject(new DOMException('no more locks', 'InvalidStateError')) : locks.request(name, ...args),
    };
    await assert.rejects(store.open('a'), failure('io', 'name', FOLDER));
    await assert.rejects(store.put('a', NEW), failure('io', 'name', 'a'));
    site.navigator.locks = locks;
    await hasContent(store, 'a', OLD);
  });
});
