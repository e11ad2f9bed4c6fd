/**
 * One thread of a pool (thread-pool.js): an instance of the core over the shared memory, which works until the pool closes.
 * Gets one message, {module, memory, stack, thread}; answers 'ready'.
 */
import { ownerPort } from '../runtime.js';

const port = ownerPort();

port.onmessage = (/** @type {MessageEvent} */ { data: { module, memory, stack, thread } }) => {
  const exports = /** @type {import('./wasm-loader.js').Exports} */ (
    /** @type {unknown} */ (new WebAssembly.Instance(module, { env: { memory } }).exports)
  );
  exports.stackRestore(stack);
  port.postMessage('ready');
  try {
    while (exports.hs_thread_run(thread) === 1);
  } catch (error) {
    // The owner may be waiting for a task of this thread.
    exports.hs_thread_fail();
    throw error;
  }
  // Node.js has the second only, Deno the first.
  if (globalThis.close) globalThis.close();
  else port.close();
};
