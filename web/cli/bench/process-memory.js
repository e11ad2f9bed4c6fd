/** Resident memory of processes, where Linux tells it. */
import { readFile, writeFile } from 'node:fs/promises';

/**
 * @param {number} pid
 * @returns {Promise<{now: number, peak: number} | undefined>} bytes; undefined where there is no such process, or no /proc
 */
async function processMemory(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const of = (/** @type {string} */ name) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  const [now, peak] = [of('VmRSS'), of('VmHWM')];
  return Number.isNaN(now) || Number.isNaN(peak) ? undefined : { now, peak };
}

/**
 * What a process takes at most beyond what it takes now, while something else goes on.
 * @param {number} pid
 * @returns {Promise<() => Promise<number | undefined>>} bytes so far; undefined where that is not known
 */
export async function watchGrowth(pid) {
  // 5 resets the peak (proc_pid_clear_refs(5)).
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {});
  const before = await processMemory(pid);
  return async () => {
    const after = await processMemory(pid);
    return before && after && Math.max(0, after.peak - before.now);
  };
}
