/**
 * What Node.js, Deno and Bun have and pages have not. Builtins are asked for, not imported: bundlers for pages have nothing to
 * resolve, and what is behind `inNode` they need not look at (web/package/build-page.js).
 */
export const inNode = globalThis.process?.versions?.node !== undefined;

/**
 * One by one: declarations that are made of an object type over several lines are not valid.
 * @typedef {{'node:fs/promises': typeof import('node:fs/promises')}} Files
 * @typedef {{'node:os': typeof import('node:os')}} System
 * @typedef {{'node:worker_threads': typeof import('node:worker_threads')}} Threads
 * @typedef {Files & System & Threads} Builtins
 */

/**
 * @template {keyof Builtins} Name
 * @param {Name} name
 * @returns {Builtins[Name]}
 */
export function builtin(name) {
  return process.getBuiltinModule(name);
}

/** @typedef {import('./worker-handle.js').WorkerHandle} WorkerHandle */

/**
 * Worker threads of Node.js, which are those of Deno and Bun too, behind the methods that a page's workers get below.
 * @param {URL} url
 * @returns {WorkerHandle}
 */
export function nodeWorker(url) {
  const { Worker } = builtin('node:worker_threads');
  // Without the process's own options: some, as --input-type, are not for scripts of files.
  const worker = new Worker(url, { execArgv: [] });
  return {
    listen: (type, listener) => void worker.on(type, listener),
    post: (message, transfer) =>
      worker.postMessage(message, /** @type {import('node:worker_threads').TransferListItem[] | undefined} */ (transfer)),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
    terminate: () => void worker.terminate(),
  };
}

/**
 * @param {Worker} worker
 * @returns {WorkerHandle}
 */
export function pageWorker(worker) {
  return {
    listen: (type, listener) => worker.addEventListener(type, (event) => listener('data' in event ? event.data : event)),
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    ref: () => {},
    unref: () => {},
    terminate: () => worker.terminate(),
  };
}

/** In a worker: where its owner's messages come from and answers go to. */
export function ownerPort() {
  return /** @type {MessagePort} */ (/** @type {unknown} */ (inNode ? builtin('node:worker_threads').parentPort : globalThis));
}
