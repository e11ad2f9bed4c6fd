/**
 * What runtime.js makes of any runtime's workers. It is a file of its own because declarations for pages have it, and can have nothing of
 * Node.js beside it.
 *
 * @typedef {object} WorkerHandle
 * @property {(type: 'message' | 'error' | 'exit', listener: (value: any) => void) => void} listen message: what was posted;
 *   exit: in Node.js, Deno and Bun only
 * @property {(message: object, transfer?: Transferable[]) => void} post
 * @property {() => void} ref keeps the process from ending while the worker is open, as at first
 * @property {() => void} unref lets it end
 * @property {() => void} terminate
 */

export {};
