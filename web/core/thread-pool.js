/** Threads: how many there can be here, and the workers that are them. */
import { threads as threadsSupported } from 'wasm-feature-detect';

import { shown } from '../checks.js';
import { badArgument, HalfspaceError } from '../errors.js';
import { builtin, inNode, nodeWorker, pageWorker } from '../runtime.js';

/** HS_MAX_THREADS of src/base/hs.h. */
const MAX_THREADS = 16;
/** 'auto': more gain little, as memory is what limits decoding. */
const AUTO_THREADS = 4;
const START_MS = 10_000;
/** Without a finished task, until a thread counts as lost. */
export const PATIENCE_SECONDS = 60;
/** As much as wasm/build.sh gives the first instance. */
const STACK_BYTES = 131_072;

/** Why workers cannot share memory here; undefined where they can. */
async function obstacle() {
  if (typeof SharedArrayBuffer === 'undefined')
    return globalThis.crossOriginIsolated === false
      ? 'the page is not cross-origin isolated (it needs the COOP and COEP headers)'
      : 'this runtime has no SharedArrayBuffer';
  if (!inNode && typeof Worker === 'undefined') return 'this runtime has no workers';
  return (await threadsSupported()) ? undefined : 'WebAssembly has no shared memory here';
}

/** Processors that this process may use. */
function processors() {
  return inNode ? builtin('node:os').availableParallelism() : navigator.hardwareConcurrency;
}

/**
 * The number of threads to start.
 * @param {number | 'auto'} wanted
 * @param {string[]} reasons gains why it is one, when auto did not find more
 * @returns {Promise<number>}
 * @throws {HalfspaceError} bad-argument; unsupported: more than one was asked for, and cannot be
 */
export async function threadCount(wanted, reasons) {
  if (wanted !== 'auto' && !(Number.isInteger(wanted) && wanted >= 1 && wanted <= MAX_THREADS))
    throw badArgument('threads', `must be auto or 1 to ${MAX_THREADS}, not ${shown(wanted)}`, wanted, MAX_THREADS);
  if (wanted === 1) return 1;
  const why = await obstacle();
  if (!why) return wanted === 'auto' ? Math.min(AUTO_THREADS, processors()) : wanted;
  if (wanted !== 'auto') throw unsupported(wanted, why);
  reasons.push(`threads: ${why}`);
  return 1;
}

/** @param {unknown} value @param {string} why @param {unknown} [cause] */
const unsupported = (value, why, cause) =>
  new HalfspaceError('unsupported', `threads: ${why}`, { field: 'threads', value, limit: 1, cause });

/** The URLs are written out, each for itself: that is how bundlers see a worker. */
function openWorker() {
  if (inNode) return nodeWorker(new URL('./thread-worker.js', import.meta.url));
  return pageWorker(new Worker(new URL('./thread-worker.js', import.meta.url), { type: 'module' }));
}

/** The workers of one instance of the core. @internal */
export class ThreadPool {
  /** @type {import('../worker-handle.js').WorkerHandle[]} */
  #workers = [];
  #exports;
  #live = 1;

  /** @param {import('./wasm-loader.js').Exports} exports */
  constructor(exports) {
    this.#exports = exports;
  }

  /** Threads at work, the caller's included. In Node.js one whose worker ended is noticed. */
  get threads() {
    return this.#live;
  }

  /** A thread was lost in the middle of a job: no further job will run. */
  get lost() {
    return this.#exports.hs_threads_lost() === 1;
  }

  /**
   * Starts count - 1 workers; the core shares its jobs with them from then on.
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Memory} memory
   * @param {import('./wasm-loader.js').Exports} exports of the instance that calls are made on
   * @param {number} count
   * @throws {HalfspaceError} with field 'threads'. out-of-memory: their stacks do not fit; unsupported: not all came up
   */
  static async start(module, memory, exports, count) {
    const pool = new ThreadPool(exports);
    const stacks = Array.from({ length: count - 1 }, () => exports.hs_alloc(STACK_BYTES) >>> 0);
    if (stacks.includes(0))
      throw new HalfspaceError('out-of-memory', `no memory for the stacks of ${count} threads`, {
        field: 'threads',
        value: count,
        limit: 1 + stacks.indexOf(0),
      });
    try {
      await withDeadline(Promise.all(stacks.map((stack, i) => pool.#add(module, memory, stack, i + 1))));
    } catch (cause) {
      for (const worker of pool.#workers) worker.terminate();
      throw unsupported(count, `a worker did not start: ${/** @type {Error} */ (cause).message}`, cause);
    }
    // A process may end while its engine is open.
    for (const worker of pool.#workers) worker.unref();
    exports.hs_threads_start(count, mayBlock() ? 1 : 0, PATIENCE_SECONDS);
    return pool;
  }

  /** @param {WebAssembly.Module} module @param {WebAssembly.Memory} memory @param {number} stack @param {number} thread */
  async #add(module, memory, stack, thread) {
    const worker = openWorker();
    this.#workers.push(worker);
    return new Promise((resolve, reject) => {
      worker.listen('message', () => {
        this.#live++;
        resolve(undefined);
      });
      worker.listen('exit', () => {
        this.#live--;
        reject(new Error('it ended'));
      });
      // After the start this only keeps it from being an uncaught error: the core knows by itself that a thread was lost.
      worker.listen('error', (error) => reject(new Error(error?.message ?? 'its script failed to load')));
      worker.post({ module, memory, stack: stack + STACK_BYTES, thread });
    });
  }

  /** Lets the workers end; no call is running. */
  close() {
    this.#exports.hs_threads_stop();
  }
}

/** @param {Promise<unknown>} started */
async function withDeadline(started) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer for ${START_MS / 1000} s`)), START_MS);
  });
  try {
    await Promise.race([started, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A page's main thread may not; a worker and Node's main thread may. */
function mayBlock() {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
