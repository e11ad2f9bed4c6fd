/** A directory of the origin private file system with faults. */
import { halfOf } from './faults.js';

/**
 * @param {any} directory
 * @param {import('./faults.js').FaultPlan} plan
 * @returns {any}
 */
export function faultyDirectory(directory, plan) {
  return {
    name: directory.name,
    keys: () => (plan.alive(), directory.keys()),
    getDirectoryHandle: async (/** @type {any[]} */ ...args) => faultyDirectory(await directory.getDirectoryHandle(...args), plan),
    removeEntry: async (/** @type {string} */ name) => plan.step(() => directory.removeEntry(name)),
    async getFileHandle(/** @type {string} */ name, /** @type {any} */ options) {
      const get = () => directory.getFileHandle(name, options);
      return faultyFile(await (options?.create ? plan.step(get) : (plan.alive(), get())), plan);
    },
  };
}

/** @param {any} file @param {import('./faults.js').FaultPlan} plan */
function faultyFile(file, plan) {
  const handle = { getFile: async () => (plan.alive(), file.getFile()) };
  if ('createSyncAccessHandle' in file)
    return {
      ...handle,
      createSyncAccessHandle: () => plan.step(async () => faultyAccess(file, await file.createSyncAccessHandle(), plan)),
    };
  return { ...handle, createWritable: () => plan.step(async () => faultyStream(await file.createWritable(), plan)) };
}

/** @param {any} file @param {any} access @param {import('./faults.js').FaultPlan} plan */
function faultyAccess(file, access, plan) {
  let flushed = true;
  const close = () => access.close();
  const lose = () => {
    access.truncate(access.getSize() >> 1);
    access.close();
  };
  const loseClosed = async () => {
    access = await file.createSyncAccessHandle();
    lose();
  };
  plan.atDeath(file, close);
  const write = (/** @type {Uint8Array} */ bytes, /** @type {any} */ options) => {
    flushed = false;
    plan.atDeath(file, lose);
    return access.write(bytes, options);
  };
  return {
    write: (/** @type {Uint8Array} */ bytes, /** @type {any} */ options) =>
      plan.step(
        () => write(bytes, options),
        () => write(halfOf(bytes), options),
      ),
    truncate: (/** @type {number} */ size) => plan.step(() => access.truncate(size)),
    flush: () =>
      plan.step(() => {
        access.flush();
        flushed = true;
        plan.atDeath(file, close);
      }),
    close: () =>
      plan.step(() => {
        access.close();
        plan.atDeath(file, flushed ? undefined : loseClosed);
      }),
  };
}

/** @param {any} stream @param {import('./faults.js').FaultPlan} plan */
function faultyStream(stream, plan) {
  // What a dead tab wrote without closing is never in the file.
  plan.atDeath(stream, () => stream.abort());
  return {
    write: async (/** @type {Uint8Array} */ bytes) =>
      plan.step(
        () => stream.write(bytes),
        () => stream.write(halfOf(bytes)),
      ),
    close: async () =>
      plan.step(async () => {
        await stream.close();
        plan.atDeath(stream, undefined);
      }),
    abort: async () => {
      plan.alive();
      await stream.abort();
      plan.atDeath(stream, undefined);
    },
  };
}
