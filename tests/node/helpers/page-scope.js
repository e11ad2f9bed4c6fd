/**
 * Makes this thread a page, as far as the package can tell, or a worker of one (page-worker.js): there is no `process`, but workers and
 * locks as pages have them, the origin private file system in memory, and fetch() of the modules' own files. To be imported before any
 * module of the package.
 */
import { readFile } from 'node:fs/promises';
import { isMainThread, Worker as Thread } from 'node:worker_threads';

import { createSite } from './opfs.js';

export const site = createSite('page');
/** Threads of the workers that were started, to be killed. @type {Thread[]} */
export const threads = [];

const { fetch } = globalThis;
const { locks } = site.navigator;

/** Holds locks for a worker, as long as it lives. @param {Thread} thread @param {MessagePort} port */
function lend(thread, port) {
  const ended = new Promise((resolve) => thread.once('exit', resolve));
  port.onmessage = ({ data: name }) =>
    void locks.request(name, () => {
      port.postMessage(name);
      return ended;
    });
  void ended.then(() => port.close());
  /** @type {any} */ (port).unref();
}

class PageWorker {
  /** @param {URL} url */
  constructor(url) {
    const { port1, port2 } = new MessageChannel();
    const data = { url: String(url), locks: port2 };
    this.thread = new Thread(new URL('page-worker.js', import.meta.url), { workerData: data, transferList: [/** @type {any} */ (port2)] });
    threads.push(this.thread);
    lend(this.thread, port1);
    // As in a page, nobody is told of its end.
    this.thread.on('error', () => {});
  }

  /** @param {string} type @param {(event: object) => void} listener */
  addEventListener(type, listener) {
    if (type === 'message') this.thread.on('message', (data) => listener({ data }));
    if (type === 'error') this.thread.on('error', ({ message }) => listener({ message }));
  }

  /** @param {unknown} message @param {any[]} transfer */
  postMessage(message, transfer) {
    this.thread.postMessage(message, transfer);
  }

  terminate() {
    void this.thread.terminate();
  }
}

/** @param {any} url @param {RequestInit} init */
const fetchHere = async (url, init) => {
  if (!String(url).startsWith('file:')) return fetch(url, init);
  return readFile(new URL(url)).then(
    (bytes) => new Response(bytes),
    () => new Response(null, { status: 404 }),
  );
};

Reflect.deleteProperty(globalThis, 'process');
Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { ...site.navigator, hardwareConcurrency: 2 } });
Object.assign(globalThis, {
  Worker: PageWorker,
  fetch: fetchHere,
  ...(isMainThread && { document: { baseURI: 'http://127.0.0.1/app/' } }),
});
