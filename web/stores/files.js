/**
 * A store in a folder, in Node.js, Deno and Bun: one file for each entry, of its name. New content goes to a file with ~ in its name,
 * is synced, and takes the name by a rename, after which the folder is synced. Processes may share a folder; maxBytes is then exceeded
 * where they put at the same time.
 */
import { randomBytes } from 'node:crypto';
import * as nodeFs from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';

import { openSource } from '../bytes/sources.js';
import { HalfspaceError } from '../errors.js';
import { createClock, isName, notFound, oneAtATime, Store } from './store.js';
import { createWholeFile, syncFolder } from './whole-file.js';

/**
 * @typedef {import('./whole-file.js').FileSystem} FileSystem
 * @typedef {import('./store.js').Backend} Backend
 */

/** When this process started, by the clock as it is now. */
const startOfProcess = () => Date.now() - process.uptime() * 1000;
/** The same by the clock as it was: where it was set since, drafts of this process may have either time. */
const STARTED = startOfProcess();

/**
 * The store in a folder. What processes that were killed left half-written there is removed.
 * @param {string} folder made where it is missing; holds nothing but the store
 * @param {{maxBytes?: number, fs?: FileSystem}} [options] maxBytes: default none but the disk's; fs: another file system
 * @returns {Promise<Store>}
 * @throws {HalfspaceError} bad-argument: maxBytes; io: the folder cannot be made or read
 */
export async function openFileStore(folder, { maxBytes = Infinity, fs = nodeFs } = {}) {
  const store = new Store(new Folder(folder, fs), maxBytes);
  await failing(folder, () => fs.mkdir(folder, { recursive: true }));
  for (const file of await failing(folder, () => fs.readdir(folder)))
    if (await isLeftOver(fs, folder, file)) await failing(file, () => fs.rm(join(folder, file), { force: true }));
  return store;
}

/**
 * Whether a file is the draft of a process that has ended.
 * @param {FileSystem} fs
 * @param {string} folder
 * @param {string} file
 */
async function isLeftOver(fs, folder, file) {
  const pid = Number(/~(\d+)~[0-9a-f]+$/.exec(file)?.[1]);
  if (Number.isNaN(pid)) return false;
  if (pid !== process.pid) return !isRunning(pid);
  // Ids are used again: in a container every process may be number 1.
  const { mtimeMs } = await fs.stat(join(folder, file)).catch(() => ({ mtimeMs: Infinity }));
  return mtimeMs < Math.min(STARTED, startOfProcess());
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** @implements {Backend} */
class Folder {
  exclusive = oneAtATime();
  #now = createClock();

  /** @param {string} folder @param {FileSystem} fs */
  constructor(folder, fs) {
    this.folder = folder;
    this.fs = fs;
  }

  async entries() {
    /** @type {Map<string, import('./store.js').Entry>} */
    const entries = new Map();
    for (const name of await failing(this.folder, () => this.fs.readdir(this.folder))) {
      if (!isName(name)) continue;
      const stat = await failing(name, () => this.fs.stat(join(this.folder, name))).catch(unlessMissing);
      if (stat) entries.set(name, { bytes: stat.size, modified: stat.mtimeMs, used: stat.atimeMs });
    }
    return entries;
  }

  /**
   * @param {string} name
   * @returns {Promise<import('./store.js').Draft>}
   */
  async create(name) {
    const { fs, folder } = this;
    const temporary = join(folder, `${name}~${process.pid}~${randomBytes(8).toString('hex')}`);
    const file = await failing(name, () => createWholeFile(fs, temporary));
    return {
      write: (bytes) => failing(name, () => file.write(bytes)),
      seal: () => failing(name, () => file.seal()),
      commit: () =>
        failing(name, async () => {
          await this.#touch(temporary, Date.now());
          await file.commit(join(folder, name));
        }),
      discard: () => file.discard(),
    };
  }

  /** @param {string} name */
  async open(name) {
    const path = join(this.folder, name);
    try {
      const { mtimeMs } = await this.fs.stat(path);
      const source = await openSource(path);
      // A folder that cannot be written can be read; its entries just look unused.
      await this.#touch(path, mtimeMs).catch(() => {});
      return { ...source, name };
    } catch (error) {
      if (isMissing(error)) throw notFound(name);
      throw typed(name, error);
    }
  }

  /** @param {string} name */
  async remove(name) {
    const removed = await failing(name, async () => {
      await this.fs.rm(join(this.folder, name));
      return true;
    }).catch(unlessMissing);
    if (removed) await failing(name, () => syncFolder(this.fs, this.folder));
    return Boolean(removed);
  }

  persist = async () => true;

  /** @param {string} path @param {number} modified */
  async #touch(path, modified) {
    await this.fs.utimes(path, this.#now() / 1000, modified / 1000);
  }
}

/** @param {unknown} error */
const codeOf = (error) => /** @type {{code?: unknown}} */ (error)?.code;

/** @param {unknown} error of fs, or one made of it */
const isMissing = (error) => codeOf(error instanceof HalfspaceError ? error.cause : error) === 'ENOENT';

/** @param {unknown} error */
function unlessMissing(error) {
  if (!isMissing(error)) throw error;
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
    throw typed(name, error);
  }
}

/** @param {string} name @param {unknown} cause */
function typed(name, cause) {
  if (cause instanceof HalfspaceError) return cause;
  const code = codeOf(cause);
  const message = `${name}: ${/** @type {Error} */ (cause).message}`;
  const full = ['ENOSPC', 'EDQUOT'].includes(String(code));
  return new HalfspaceError(full ? 'quota' : 'io', message, { field: full ? 'disk' : 'name', value: full ? code : name, cause });
}
