/**
 * The origin private file system and web locks of a page, or of a dedicated worker, in memory. opfs-mock does the most; what it allows
 * and browsers do not is refused here: removing a file that is open, shared memory in streams, more bytes than the quota, and
 * synchronous access outside of workers. Locks are those of Node.js where it has some.
 */
import { storageFactory } from 'opfs-mock';

import { createLocks } from './web-locks.js';

const QUOTA = 64 << 20;

/**
 * @typedef {object} Site
 * @property {'page' | 'worker'} place
 * @property {{storage: any, locks: any}} navigator
 * @property {number} quota may be changed at any time
 * @property {boolean} shortWrites what a synchronous write leaves out for the quota is told by its result, as in Firefox; else it throws
 */

/**
 * @param {'page' | 'worker'} place
 * @returns {Site}
 */
export function createSite(place) {
  const memory = storageFactory();
  /** Bytes of files, and of open streams. @type {Map<unknown, number>} */
  const sizes = new Map();
  const usage = () => [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const disk = { sizes, free: () => site.quota - usage(), site: () => site };
  const storage = {
    getDirectory: async () => directoryOf(await memory.getDirectory(), disk),
    estimate: async () => ({ usage: usage(), quota: site.quota }),
    persisted: async () => false,
    ...(place === 'page' && { persist: async () => true }),
  };
  const site = { place, navigator: { storage, locks: globalThis.navigator?.locks ?? createLocks() }, quota: QUOTA, shortWrites: false };
  return site;
}

const full = () => new DOMException('The quota has been exceeded.', 'QuotaExceededError');

/** @returns {any} */
function directoryOf(/** @type {any} */ directory, /** @type {any} */ disk) {
  return {
    kind: 'directory',
    name: directory.name,
    keys: () => directory.keys(),
    getDirectoryHandle: async (/** @type {string} */ name, /** @type {any} */ options) =>
      directoryOf(await directory.getDirectoryHandle(name, options), disk),
    getFileHandle: async (/** @type {string} */ name, /** @type {any} */ options) =>
      fileOf(await directory.getFileHandle(name, options), disk),
    async removeEntry(/** @type {string} */ name) {
      const file = await directory.getFileHandle(name);
      const exclusive = await file.createSyncAccessHandle();
      exclusive.close();
      await directory.removeEntry(name);
      disk.sizes.delete(file);
    },
  };
}

function fileOf(/** @type {any} */ file, /** @type {any} */ disk) {
  return {
    kind: 'file',
    name: file.name,
    getFile: () => file.getFile(),
    createWritable: async () => streamOf(await file.createWritable(), file, disk),
    ...(disk.site().place === 'worker' && {
      createSyncAccessHandle: async () => accessOf(await file.createSyncAccessHandle(), file, disk),
    }),
  };
}

function accessOf(/** @type {any} */ access, /** @type {any} */ file, /** @type {any} */ disk) {
  const count = () => disk.sizes.set(file, access.getSize());
  return {
    getSize: () => access.getSize(),
    write(/** @type {Uint8Array} */ bytes, /** @type {{at: number}} */ { at }) {
      const room = disk.free() + access.getSize() - at;
      if (room < bytes.length && !disk.site().shortWrites) throw full();
      const written = access.write(bytes.subarray(0, Math.max(0, room)), { at });
      count();
      return written;
    },
    truncate(/** @type {number} */ size) {
      access.truncate(size);
      count();
    },
    flush: () => access.flush(),
    close: () => access.close(),
  };
}

function streamOf(/** @type {any} */ stream, /** @type {any} */ file, /** @type {any} */ disk) {
  let size = 0;
  return {
    async write(/** @type {Uint8Array | string} */ content) {
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      if (!(bytes.buffer instanceof ArrayBuffer)) throw new TypeError('The provided ArrayBufferView value must not be shared.');
      if (bytes.length > disk.free()) throw full();
      disk.sizes.set(stream, (size += bytes.length));
      await stream.write(bytes);
    },
    async close() {
      await stream.close();
      disk.sizes.delete(stream);
      disk.sizes.set(file, size);
    },
    async abort() {
      await stream.abort();
      disk.sizes.delete(stream);
    },
  };
}

/**
 * Runs as if in a page or a worker of this site.
 * @template T
 * @param {{navigator: unknown}} site
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function inSite({ navigator }, run) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: navigator });
  try {
    return await run();
  } finally {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else Reflect.deleteProperty(globalThis, 'navigator');
  }
}
