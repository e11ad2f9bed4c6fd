/**
 * A store in the origin private file system, in pages and workers. Content goes to a data file of its own; then the pointer file is
 * written (opfs-manifest.js). Web locks keep tabs apart: one for the pointers, and one for each data file, held while it is written and while
 * it is read. A data file that nothing points to is removed once nobody holds its lock; the browser lets go of what a killed tab held.
 */
import { openSource } from '../bytes/sources.js';
import { HalfspaceError } from '../errors.js';
import { openWriter } from './opfs-file.js';
import { readManifest, SLOTS, writeManifest } from './opfs-manifest.js';
import { createClock, notFound, Store } from './store.js';

/** @typedef {import('./store.js').Backend} Backend */

const DATA = 'data-';
/** A use is written down when the one on the disk is older: it takes a write of the pointer file. */
const USED_GRAIN_MS = 60_000;

/**
 * The store of this origin. What tabs that were killed left half-written there is removed.
 * @param {{folder?: string, maxBytes?: number, directory?: FileSystemDirectoryHandle}} [options] folder: a store each, default
 *   'halfspace'; maxBytes: default none but the browser's quota; directory: where the folder is, default the origin's root
 * @returns {Promise<Store>}
 * @throws {HalfspaceError} unsupported: there is no such file system here; bad-argument: maxBytes; io; quota
 */
export async function openOpfsStore({ folder = 'halfspace', maxBytes = Infinity, directory } = {}) {
  const { storage, locks } = globalThis.navigator ?? {};
  if (!storage?.getDirectory || !locks)
    throw new HalfspaceError('unsupported', 'there is no origin private file system here: browsers have one, on HTTPS or localhost', {
      field: 'navigator.storage',
    });
  return failing(folder, async () => {
    const root = directory ?? (await storage.getDirectory());
    const backend = new OpfsFolder(await root.getDirectoryHandle(folder, { create: true }));
    const store = new Store(backend, maxBytes);
    await backend.exclusive(() => backend.collect());
    return store;
  });
}

/** @implements {Backend} */
class OpfsFolder {
  #now = createClock();
  /** Uses that are not on the disk. @type {Map<string, number>} */
  #used = new Map();

  /** @param {FileSystemDirectoryHandle} directory */
  constructor(directory) {
    this.directory = directory;
    this.lock = `halfspace/${directory.name}`;
  }

  /** @type {Backend['exclusive']} */
  exclusive(run) {
    return failing(this.directory.name, () => navigator.locks.request(this.lock, run));
  }

  async entries() {
    return (await this.#manifest()).entries;
  }

  /**
   * @param {string} name
   * @returns {Promise<import('./store.js').Draft>}
   */
  async create(name) {
    const file = `${DATA}${crypto.randomUUID()}`;
    const release = await failing(name, () => this.#hold(file, 'exclusive'));
    /** @type {import('./opfs-file.js').FileWriter} */
    let writer;
    try {
      writer = await failing(name, async () => openWriter(await this.directory.getFileHandle(file, { create: true })));
    } catch (error) {
      await this.#letGo(file, release).catch(() => {});
      throw error;
    }
    return {
      write: (bytes) => failing(name, () => writer.write(bytes)),
      seal: () => failing(name, () => writer.close()),
      commit: async (bytes) => {
        const time = this.#now();
        await this.#change((entries) => entries.set(name, { file, bytes, modified: time, used: time }));
        await release();
      },
      discard: async () => {
        await writer.abort().catch(() => {});
        await this.#letGo(file, release);
      },
    };
  }

  /** @param {string} name */
  async open(name) {
    return this.exclusive(async () => {
      const manifest = await readManifest(this.directory);
      const entry = manifest.entries.get(name);
      if (!entry) throw notFound(name);
      const release = await this.#hold(entry.file, 'shared');
      try {
        const blob = await (await this.directory.getFileHandle(entry.file)).getFile();
        if (blob.size !== entry.bytes)
          throw new HalfspaceError('bad-file', `${name} has ${blob.size} bytes, ${entry.bytes} were put`, {
            field: 'size',
            value: blob.size,
            limit: entry.bytes,
          });
        await this.#use(name, manifest);
        return { ...(await openSource(blob)), name, close: () => this.#letGo(entry.file, release) };
      } catch (error) {
        await release();
        throw error;
      }
    });
  }

  /** @param {string} name */
  async remove(name) {
    return this.#change((entries) => entries.delete(name));
  }

  async persist() {
    // Pages only: a worker cannot ask.
    if (navigator.storage.persist) return navigator.storage.persist();
    return navigator.storage.persisted();
  }

  /** Removes what killed tabs left: data files, and what Chromium writes beside a file while a stream to it is open, in `<file>.crswap`. */
  async collect() {
    const { entries } = await this.#manifest();
    const pointed = new Set([...entries.values()].map(({ file }) => file));
    const files = [];
    for await (const file of this.directory.keys()) if (!SLOTS.includes(file) && !pointed.has(file)) files.push(file);
    for (const file of files) await this.#removeFile(file);
  }

  async #manifest() {
    return this.#withUses(await readManifest(this.directory));
  }

  /** @param {import('./opfs-manifest.js').Manifest} manifest as it is on the disk */
  #withUses(manifest) {
    for (const [name, entry] of manifest.entries) entry.used = Math.max(entry.used, this.#used.get(name) ?? 0);
    return manifest;
  }

  /**
   * @template T
   * @param {(entries: Map<string, import('./opfs-manifest.js').Pointed>) => T} change
   */
  async #change(change) {
    const manifest = await this.#manifest();
    const before = [...manifest.entries.values()];
    const result = change(manifest.entries);
    await writeManifest(this.directory, manifest);
    this.#used.clear();
    const pointed = new Set([...manifest.entries.values()].map(({ file }) => file));
    // The change is made. What cannot be removed is collected when the store is opened the next time.
    for (const { file } of before) if (!pointed.has(file)) await this.#removeFile(file).catch(() => {});
    return result;
  }

  /** @param {string} name @param {import('./opfs-manifest.js').Manifest} manifest as it is on the disk */
  async #use(name, manifest) {
    const time = this.#now();
    const entry = /** @type {import('./opfs-manifest.js').Pointed} */ (manifest.entries.get(name));
    this.#used.set(name, time);
    if (time - entry.used < USED_GRAIN_MS) return;
    // A full disk can be read; the use is then known to this page alone.
    await writeManifest(this.directory, this.#withUses(manifest)).catch(() => {});
  }

  /**
   * Ends reading or writing a data file, and removes it when nothing points to it.
   * @param {string} file
   * @param {() => Promise<void>} release
   */
  async #letGo(file, release) {
    await release();
    await this.exclusive(async () => {
      const { entries } = await this.#manifest();
      if (![...entries.values()].some((entry) => entry.file === file)) await this.#removeFile(file);
    });
  }

  /** @param {string} file or what is written beside it */
  #lockOf(file) {
    return `${this.lock}/${file.split('.')[0]}`;
  }

  /**
   * Takes the lock of a data file.
   * @param {string} file
   * @param {'exclusive' | 'shared'} mode
   * @returns {Promise<() => Promise<void>>} gives it back
   */
  #hold(file, mode) {
    return new Promise((resolve, reject) => {
      /** @type {(value?: undefined) => void} */
      let end;
      const ended = new Promise((resolveEnd) => (end = resolveEnd));
      const held = navigator.locks.request(this.#lockOf(file), { mode }, () => {
        resolve(async () => {
          end();
          await held;
        });
        return ended;
      });
      held.catch(reject);
    });
  }

  /**
   * Removes a data file that nothing points to, unless somebody reads or writes it. Who does so removes it at the end.
   * @param {string} file
   */
  async #removeFile(file) {
    await navigator.locks.request(this.#lockOf(file), { ifAvailable: true }, async (lock) => {
      if (!lock) return;
      try {
        await this.directory.removeEntry(file);
      } catch (error) {
        // Another tab's collection may have been first; and a killed tab's file may be held for a moment longer than its lock.
        if (!['NotFoundError', 'NoModificationAllowedError'].includes(/** @type {Error} */ (error).name)) throw error;
      }
    });
  }
}

/**
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
async function failing(name, run) {
  try {
    return await run();
  } catch (error) {
    throw await typed(name, /** @type {Error} */ (error));
  }
}

/** @param {string} name @param {Error} cause */
async function typed(name, cause) {
  if (cause instanceof HalfspaceError) return cause;
  if (cause.name !== 'QuotaExceededError')
    return new HalfspaceError('io', `${name}: ${cause.message}`, { field: 'name', value: name, cause });
  const { usage, quota } = await navigator.storage.estimate();
  return new HalfspaceError('quota', `${name}: ${cause.message} The browser tells of ${usage} of ${quota} bytes.`, {
    field: 'storage',
    value: usage,
    limit: quota,
    cause,
  });
}
