/** Puts another class in the place of node:worker_threads' Worker, which is what thread pools start. */
import { once, setMaxListeners } from 'node:events';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const workerThreads = createRequire(import.meta.url)('node:worker_threads');
const { Worker } = workerThreads;

/**
 * Runs something while pools start workers of a class that `make` derives from Worker.
 * @template T
 * @param {(base: typeof Worker) => typeof Worker} make
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function withWorkers(make, run) {
  workerThreads.Worker = make(Worker);
  syncBuiltinESMExports();
  try {
    return await run();
  } finally {
    workerThreads.Worker = Worker;
    syncBuiltinESMExports();
  }
}

/**
 * Runs something and collects the workers that were started meanwhile.
 * @template T
 * @param {() => Promise<T>} run
 * @returns {Promise<{result: T, workers: import('node:worker_threads').Worker[], ended: Promise<number[]>}>} ended: exit codes
 */
export async function collectWorkers(run) {
  /** @type {import('node:worker_threads').Worker[]} */
  const workers = [];
  const result = await withWorkers(
    (Base) =>
      class extends Base {
        /** @param {ConstructorParameters<typeof Worker>} args */
        constructor(...args) {
          super(...args);
          setMaxListeners(0, this);
          workers.push(this);
        }
      },
    run,
  );
  // The pool let go of its workers: for the wait they keep the process alive again.
  const ended = Promise.all(
    workers.map(async (worker) => {
      worker.ref();
      return (await once(worker, 'exit'))[0];
    }),
  );
  return { result, workers, ended };
}
