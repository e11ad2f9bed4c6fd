/** The `halfspace` command, run as a process. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Path of its script. */
export const CLI = fileURLToPath(new URL('../../../web/cli.js', import.meta.url));

/** @param {string[]} args @returns {Promise<{status: number, stdout: string, stderr: string}>} */
export const runCli = (...args) =>
  new Promise((resolve) =>
    execFile(process.execPath, [CLI, ...args], (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  );
