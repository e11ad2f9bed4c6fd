/** What the tests of the OPFS store do, for a page to call, and for a worker of it. */
import { actions } from '../../suites/opfs.js';

const inWorker = typeof document === 'undefined';

if (inWorker) {
  addEventListener('message', async ({ data: { name, args } }) => {
    const call = /** @type {any} */ (actions)[name];
    const answer = await call(...args).then(
      (/** @type {unknown} */ value) => ({ value }),
      (/** @type {Error} */ error) => ({ error: `${error.message}\n${error.stack}` }),
    );
    postMessage(answer);
  });
} else {
  /** @type {any} */ (globalThis).actions = actions;
  /** @type {any} */ (globalThis).callInWorker = (/** @type {string} */ name, /** @type {unknown[]} */ ...args) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(import.meta.url, { type: 'module' });
      worker.onmessage = ({ data }) => ('error' in data ? reject(new Error(data.error)) : resolve(data.value));
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ name, args });
    });
}
