/** Busy processes beside a measurement: what is left of the speed when others hold the machine's cores. */
import { spawn } from 'node:child_process';

import { checkInteger } from '../../checks.js';

/** Counts until the process that started it is gone. */
const SCRIPT = `
const parent = process.ppid;
process.stdout.write('.');
while (process.ppid === parent) for (let i = 0; i < 1e7; i++);
`;

/**
 * @template T
 * @param {number} count
 * @param {(pids: number[]) => Promise<T>} measure
 * @returns {Promise<T>}
 */
export async function besideHogs(count, measure) {
  checkInteger('hog', count, 0, 64);
  const hogs = Array.from({ length: count }, () => spawn('node', ['-e', SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] }));
  try {
    await Promise.all(
      hogs.map(
        (hog) =>
          new Promise((resolve, reject) => {
            hog.on('error', reject);
            hog.stdout.once('data', resolve);
          }),
      ),
    );
    return await measure(hogs.map(({ pid }) => Number(pid)));
  } finally {
    for (const hog of hogs) hog.kill('SIGKILL');
  }
}
