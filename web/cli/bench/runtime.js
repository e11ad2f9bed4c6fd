/** Where a bench runs: in this process, in another runtime of JavaScript that gets the same command, or in a browser's page. */
import { spawn } from 'node:child_process';

import { badArgument } from '../../errors.js';
import { checkout } from './checkout.js';
import { environment, Report } from './report.js';

const BROWSERS = ['chromium', 'firefox'];
const PROCESSES = ['node', 'node24', 'bun', 'deno'];
export const RUNTIMES = [...BROWSERS, ...PROCESSES];

/** @param {string | undefined} runtime @returns {runtime is 'chromium' | 'firefox'} */
export const isBrowser = (runtime) => runtime !== undefined && BROWSERS.includes(runtime);

/**
 * A bench as it is in a page, reported from here.
 * @param {'chromium' | 'firefox'} browser
 * @param {string} name
 * @param {{model?: string, file?: string, json?: boolean, out?: string, peers?: boolean}} options
 */
async function runInPage(browser, name, options) {
  if (options.peers) throw badArgument('peers', `of bench ${name} do not run in ${browser}`, browser, PROCESSES);
  const { browser: runtime, noted } = await (await checkout()).benchInPage(browser, name, options);
  const result = /** @type {{variant: 'relaxed' | 'simd'}} */ (noted.result);
  const where = environment(result.variant, { runtime });
  const report = new Report(name, where);
  for (const [method, ...args] of noted.calls) /** @type {any} */ (report)[method](...args);
  await report.publish({ ...result, ...where }, options);
}

/**
 * An action that goes to the runtime that is asked for.
 * @template {{json?: boolean}} Options
 * @param {(options: Options) => Promise<void>} action
 * @param {string} [page] name of a bench that runs in a page as it is; without, the action opens pages itself
 * @returns {(options: Options & {runtime?: string}) => Promise<void>}
 */
export const inRuntime = (action, page) => async (options) => {
  const { runtime } = options;
  if (isBrowser(runtime) && page !== undefined) return runInPage(runtime, page, options);
  if (runtime === undefined || runtime === 'node' || isBrowser(runtime)) return action(options);
  const [command, ...before] = await (await checkout()).runtimeCommand(runtime);
  const child = spawn(command, [...before, ...process.argv.slice(1).filter(notRuntime)], { stdio: 'inherit' });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
};

/** Whether an argument of a command is neither --runtime nor its value. @param {string} argument @param {number} i @param {string[]} all */
const notRuntime = (argument, i, all) => !/^--runtime(=|$)/.test(argument) && all[i - 1] !== '--runtime';
