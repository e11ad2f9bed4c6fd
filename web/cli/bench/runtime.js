/** Where a bench runs: in this process, in another runtime of JavaScript that gets the same command, or in a browser's page. */
import { spawn } from 'node:child_process';

import { checkout } from './checkout.js';

const BROWSERS = ['chromium', 'firefox'];
export const PROCESSES = ['node', 'node24', 'bun', 'deno'];
export const RUNTIMES = [...BROWSERS, ...PROCESSES];

/** @param {string | undefined} runtime @returns {runtime is 'chromium' | 'firefox'} */
export const isBrowser = (runtime) => runtime !== undefined && BROWSERS.includes(runtime);

/** This process. @returns {string} */
export function processName() {
  const { bun, deno, node } = /** @type {Record<string, string | undefined>} */ (process.versions);
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
}

/**
 * An action that goes to the runtime that is asked for.
 * @template {object} Options
 * @param {(options: Options) => Promise<void>} action
 * @returns {(options: Options & {runtime?: string}) => Promise<void>}
 */
export const inRuntime = (action) => async (options) => {
  const { runtime } = options;
  if (runtime === undefined || runtime === 'node' || isBrowser(runtime)) return action(options);
  const [command, ...before] = await (await checkout()).runtimeCommand(runtime);
  const child = spawn(command, [...before, ...process.argv.slice(1).filter(notRuntime)], { stdio: 'inherit' });
  process.exitCode = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
};

/** Whether an argument of a command is neither --runtime nor its value. @param {string} argument @param {number} i @param {string[]} all */
const notRuntime = (argument, i, all) => !/^--runtime(=|$)/.test(argument) && all[i - 1] !== '--runtime';
