/** Runs one target on inputs that fast-check makes. */
import fc from 'fast-check';

import { withoutGrowth } from './oracle.js';

/**
 * @typedef {object} Target
 * @property {fc.Arbitrary<any>} arbitrary
 * @property {(input: any) => Promise<void>} run throws where the input does anything but work or be refused
 * @property {() => Promise<void>} good a good input still works
 * @property {() => Promise<void>} [close]
 *
 * @typedef {object} Result
 * @property {number} executions
 * @property {string} [finding] what was wrong, with the input
 * @property {number} seed
 * @property {string} [path] with the seed, repeats the input
 */

export const TARGETS = ['gguf', 'metadata', 'model', 'snapshot', 'chunks', 'template', 'request', 'http', 'wire', 'options'];

/** Inputs between two good ones. */
const GOOD_EVERY = 100;

/**
 * @param {string} name
 * @param {{seed: number, path?: string, ms?: number, runs?: number, onRun?: () => void}} options until ms or runs are over
 * @returns {Promise<Result>}
 */
export async function runTarget(name, { seed, path, ms, runs = Infinity, onRun }) {
  const { target } = await import(`./targets/${name}.js`);
  /** @type {Target} */
  const { arbitrary, run, good, close } = await target();
  await good();
  let executions = 0;
  const property = fc.asyncProperty(arbitrary, async (input) => {
    onRun?.();
    executions++;
    await withoutGrowth(() => run(input));
    if (executions % GOOD_EVERY === 0) await good();
  });
  const details = await fc.check(property, {
    seed,
    path,
    numRuns: runs === Infinity ? 2 ** 31 - 1 : runs,
    ...(ms !== undefined && { interruptAfterTimeLimit: ms }),
    markInterruptAsFailure: false,
  });
  await good();
  await close?.();
  const { counterexample, counterexamplePath, errorInstance } = details;
  const finding = details.failed
    ? `${/** @type {Error} */ (errorInstance)?.message}\n  input: ${fc.stringify(counterexample).slice(0, 2000)}`
    : undefined;
  return { executions, finding, seed, path: counterexamplePath ?? undefined };
}
