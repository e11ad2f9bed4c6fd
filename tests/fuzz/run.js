/**
 * Fuzzes the JavaScript: node tests/fuzz/run.js [--seconds 60] [--seed S] [--path P] [--target name]...
 * Each target runs in a thread of its own, one after the other, in a share of the seconds; one that hangs is ended. Exits with 1
 * where something was found.
 */
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { runTarget, TARGETS } from './run-target.js';

const HANG_MS = 30_000;
const MEMORY_MB = 1024;

/**
 * @param {string} name
 * @param {{seed: number, path?: string, ms: number}} options
 * @returns {Promise<import('./run-target.js').Result>}
 */
function inThread(name, options) {
  const begun = new BigInt64Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { name, options, begun },
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  });
  return new Promise((resolve) => {
    let seen = -1n;
    const end = (/** @type {Partial<import('./run-target.js').Result>} */ result) => {
      clearInterval(timer);
      void worker.terminate();
      resolve({ executions: Number(begun[0]), seed: options.seed, path: String(begun[0] - 1n), ...result });
    };
    const timer = setInterval(() => {
      if (begun[0] === seen) end({ finding: `no end after ${HANG_MS / 1000} s` });
      seen = begun[0];
    }, HANG_MS);
    worker.on('message', end);
    worker.on('error', (error) => end({ finding: String(error.stack) }));
  });
}

async function main() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      path: { type: 'string' },
      target: { type: 'string', multiple: true, default: TARGETS },
    },
  });
  const ms = (1000 * Number(values.seconds)) / values.target.length;
  const seed = Number(values.seed);
  process.stdout.write(`seed ${seed}\n${'target'.padEnd(10)} ${'executions'.padStart(10)} ${'per s'.padStart(7)}  finding\n`);
  for (const name of values.target) {
    const start = performance.now();
    const { executions, finding, path } = await inThread(name, { seed, path: values.path, ms });
    const perSecond = Math.round((1000 * executions) / (performance.now() - start));
    process.stdout.write(`${name.padEnd(10)} ${String(executions).padStart(10)} ${String(perSecond).padStart(7)}  ${finding ?? 'none'}\n`);
    if (!finding) continue;
    process.stdout.write(`  again: node tests/fuzz/run.js --target ${name} --seed ${seed} --path ${path}\n`);
    process.exitCode = 1;
  }
}

if (isMainThread) {
  await main();
} else {
  const { name, options, begun } = workerData;
  parentPort?.postMessage(await runTarget(name, { ...options, onRun: () => void begun[0]++ }));
}
