/** node:fs/promises, as far as the file store uses it, with faults. */
import * as fs from 'node:fs/promises';

import { halfOf } from '../../suites/faults.js';

/**
 * @param {import('../../suites/faults.js').FaultPlan} plan
 * @returns {any}
 */
export function faultyFs(plan) {
  /** Where what was opened is now. @type {Map<string, {path: string}>} */
  const opened = new Map();
  const change =
    (/** @type {any} */ run) =>
    async (/** @type {any[]} */ ...args) =>
      plan.step(() => run(...args));
  const look =
    (/** @type {any} */ run) =>
    async (/** @type {any[]} */ ...args) => {
      plan.alive();
      return run(...args);
    };
  return {
    mkdir: change(fs.mkdir),
    rm: change(fs.rm),
    utimes: change(fs.utimes),
    readdir: look(fs.readdir),
    stat: look(fs.stat),
    async open(/** @type {string} */ path, /** @type {string} */ flags) {
      plan.alive();
      const place = { path };
      opened.set(path, place);
      const open = async () => faultyFile(await fs.open(path, flags), place, plan);
      return flags === 'r' ? open() : plan.step(open);
    },
    rename: async (/** @type {string} */ from, /** @type {string} */ to) =>
      plan.step(async () => {
        await fs.rename(from, to);
        const place = opened.get(from);
        if (place) place.path = to;
      }),
  };
}

/**
 * @param {fs.FileHandle} file
 * @param {{path: string}} place
 * @param {import('../../suites/faults.js').FaultPlan} plan
 */
function faultyFile(file, place, plan) {
  const lose = async () => {
    const { size } = await fs.stat(place.path);
    await fs.truncate(place.path, size >> 1);
  };
  const write = (/** @type {Uint8Array} */ bytes) => {
    plan.atDeath(place, lose);
    return file.write(bytes);
  };
  return {
    write: async (/** @type {Uint8Array} */ bytes, /** @type {number} */ offset, /** @type {number} */ length) => {
      const part = bytes.subarray(offset, offset + length);
      return plan.step(
        () => write(part),
        () => write(halfOf(part)),
      );
    },
    sync: async () =>
      plan.step(async () => {
        await file.sync();
        plan.atDeath(place, undefined);
      }),
    // The handle goes with the process, so that it is closed here whatever happens.
    async close() {
      await file.close();
      plan.alive();
    },
  };
}
