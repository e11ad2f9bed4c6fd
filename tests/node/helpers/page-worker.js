/** A worker of a page in Node.js (page-scope.js): its scope, and then its script. */
import { parentPort, workerData } from 'node:worker_threads';

import './page-scope.js';

const scope = /** @type {any} */ (globalThis);
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
/** Granted by the page, and held until this thread ends. @type {Map<string, () => unknown>} */
const waiting = new Map();
workerData.locks.on('message', (/** @type {string} */ name) => waiting.get(name)?.());
workerData.locks.unref();

scope.navigator.locks = {
  async request(/** @type {string} */ name, /** @type {() => unknown} */ run) {
    waiting.set(name, run);
    workerData.locks.postMessage(name);
  },
};
scope.postMessage = (/** @type {unknown} */ message, /** @type {any[]} */ transfer) => port.postMessage(message, transfer);
scope.close = () => port.close();

/** @type {unknown[]} */
const early = [];
const deliver = (/** @type {unknown} */ data) => scope.onmessage({ data });
const keep = (/** @type {unknown} */ data) => early.push(data);
port.on('message', keep);
await import(workerData.url);
port.off('message', keep).on('message', deliver);
early.forEach(deliver);
