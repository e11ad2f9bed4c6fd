/** What the tests of the OPFS store call: in a page, in a worker of it, and in Node.js with a file system in memory. */
import { openOpfsStore } from '../../web/stores/opfs.js';
import { cachedModel } from '../../web/stores/cached-model.js';
import { FaultPlan } from './faults.js';
import { check, contentOf, equalBytes, inPieces, rejects, same, storeSuite } from './store.js';
import { faultyDirectory } from './faulty-opfs.js';

const newFolder = () => crypto.randomUUID();
const root = () => navigator.storage.getDirectory();

/** The same bytes in every page. @param {number} length @param {number} seed */
const bytesOf = (length, seed) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * seed) & 255);
const KEPT = bytesOf(5_000, 3);
const OLD = bytesOf(15_000, 5);
const NEW = bytesOf(20_001, 7);

/** All but the pointers. @param {string} folder */
async function dataFiles(folder) {
  let count = 0;
  for await (const name of (await (await root()).getDirectoryHandle(folder)).keys()) if (!/^slot-[01]$/.test(name)) count++;
  return count;
}

/** @param {string} folder */
async function prepared(folder) {
  const store = await openOpfsStore({ folder });
  await store.put('kept', KEPT);
  await store.put('a', OLD);
  return store;
}

/**
 * A store without left-overs. A closed tab takes a moment to go.
 * @param {string} folder
 */
async function tidied(folder) {
  for (let tries = 1; ; tries++) {
    const store = await openOpfsStore({ folder });
    const names = (await store.list()).map(({ name }) => name);
    const files = await dataFiles(folder);
    if (files === names.length) return { store, names };
    check(tries < 100, `${files} data files of ${names.length} entries`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** @param {string} folder @returns {Promise<'old' | 'new' | 'none'>} what a has; anything else is an error */
async function whatLoads(folder) {
  const { store, names } = await tidied(folder);
  check(equalBytes(await contentOf(store, 'kept'), KEPT), 'the other entry is whole');
  if (!names.includes('a')) return 'none';
  const content = await contentOf(store, 'a');
  const found = equalBytes(content, OLD) ? 'old' : equalBytes(content, NEW) ? 'new' : undefined;
  if (!found) throw new Error(`a has ${content.length} bytes that are neither the old nor the new`);
  // It goes on from there.
  await store.put('a', NEW);
  check(equalBytes(await contentOf(store, 'a'), NEW), 'a put afterwards');
  return found;
}

/** @param {() => Promise<unknown>} run */
const outcome = async (run) =>
  run().then(
    () => 'done',
    (error) => error.code,
  );

export const actions = {
  /** @returns names of the cases */
  suite: async () => Object.keys(storeSuite),

  /** @param {string} name */
  async run(name) {
    let folder = '';
    await storeSuite[name]({
      fresh: (options) => openOpfsStore({ ...options, folder: (folder = newFolder()) }),
      again: (options) => openOpfsStore({ ...options, folder }),
      files: () => dataFiles(folder),
    });
  },

  /**
   * Dies at each step of a put or delete.
   * @param {'put' | 'delete'} what
   */
  async deaths(what) {
    const found = { old: 0, new: 0, none: 0 };
    for (let at = 1; ; at++) {
      const folder = newFolder();
      await prepared(folder);
      const plan = new FaultPlan(at);
      const result = await outcome(async () => {
        const store = await openOpfsStore({ folder, directory: faultyDirectory(await root(), plan) });
        if (what === 'put') await store.put('a', inPieces(NEW));
        else await store.delete('a');
      });
      await plan.settled();
      const loads = await whatLoads(folder);
      if (!plan.reached) {
        same([result, loads], ['done', what === 'put' ? 'new' : 'none']);
        return { steps: plan.steps, ...found };
      }
      // Nothing but tidying up may have been left to do.
      check(result === 'io' || (result === 'done' && loads !== 'old'), `step ${at}: ${result}, ${loads} loads`);
      found[loads]++;
    }
  },

  /** The browser's quota ends at each step of a put: a typed error, and the store goes on. */
  async fullAtEachStep() {
    for (let at = 1; ; at++) {
      const folder = newFolder();
      await prepared(folder);
      const plan = new FaultPlan(at, () => new DOMException('no space', 'QuotaExceededError'));
      const store = await openOpfsStore({ folder, directory: faultyDirectory(await root(), plan) });
      const error = await store.put('a', inPieces(NEW)).catch((e) => e);
      if (!plan.reached) {
        same(await whatLoads(folder), 'new');
        return plan.steps;
      }
      if (error instanceof Error) {
        const { code, field, value, limit } = /** @type {any} */ (error);
        check(code === 'quota' && field === 'storage' && Number.isInteger(value) && limit > value, `step ${at}: ${error.stack}`);
        // The last steps may fail when the pointers are written already.
        if (equalBytes(await contentOf(store, 'a'), OLD)) same(await dataFiles(folder), 2, `step ${at}: data files`);
        else check(equalBytes(await contentOf(store, 'a'), NEW), `step ${at}: the new content`);
      } else {
        check(equalBytes(await contentOf(store, 'a'), NEW), `step ${at}: done`);
      }
      await store.put('a', NEW);
      check(equalBytes(await contentOf(store, 'a'), NEW), 'the same store goes on');
    }
  },

  /** Both pointer files damaged, which no kill does. */
  async damagedSlots() {
    const folder = newFolder();
    await prepared(folder);
    const directory = await (await root()).getDirectoryHandle(folder);
    for (const slot of ['slot-0', 'slot-1']) {
      const file = await directory.getFileHandle(slot);
      const text = await (await file.getFile()).text();
      const writable = await file.createWritable();
      await writable.write(text.replace('kept', 'kapt'));
      await writable.close();
    }
    const error = await rejects(openOpfsStore({ folder }), 'checksum', 'slot');
    check(error.message.includes(folder), 'names the store');
  },

  /** @param {string} folder @param {'old' | 'new'} what */
  async prepare(folder, what) {
    const store = await prepared(folder);
    if (what === 'new') await store.put('a', NEW);
  },

  /**
   * Puts until some bytes are written, and then never ends.
   * @param {string} folder @param {number} bytes
   */
  async putHalf(folder, bytes) {
    const store = await openOpfsStore({ folder });
    await new Promise((resolve, reject) => {
      const never = inPieces(NEW, (index) => index * 10_000 >= bytes && (resolve(undefined), new Promise(() => {})));
      store.put('a', never).catch(reject);
    });
  },

  whatLoads,

  /** @param {string} folder */
  async dataFiles(folder) {
    return dataFiles(folder);
  },

  /** Puts more than the quota. @param {number} bytes */
  async putTooMuch(bytes) {
    const folder = newFolder();
    const store = await prepared(folder);
    const zeros = new Uint8Array(1 << 20);
    function* pieces() {
      for (let at = 0; at < bytes; at += zeros.length) yield zeros;
    }
    const error = await rejects(store.put('a', pieces()), 'quota', 'storage');
    same(await whatLoads(folder), 'old');
    return { usage: error.value, quota: error.limit };
  },

  /** @param {string} url @param {string} sha256 */
  async cached(url, sha256) {
    const store = await openOpfsStore({ folder: 'models' });
    const source = await cachedModel(url, { store, sha256, partBytes: 200_000 });
    const { size } = source;
    await source.close();
    return { size, bytes: await store.bytes() };
  },

  async persist() {
    return (await openOpfsStore({ folder: 'persist' })).persist();
  },
};
