/**
 * One thread of a pool (thread-pool.js): an instance of the core over the shared memory, which works until the pool closes.
 * Gets one message, {module, memory, stack, thread}; answers 'ready'.
 */
const node = globalThis.process?.versions?.node !== undefined;
const port = /** @type {MessagePort} */ (/** @type {unknown} */ (node ? (await import('node:worker_threads')).parentPort : globalThis));

port.onmessage = (/** @type {MessageEvent} */ { data: { module, memory, stack, thread } }) => {
  const exports = /** @type {import('./wasm-loader.js').Exports} */ (
    /** @type {unknown} */ (new WebAssembly.Instance(module, { env: { memory } }).exports)
  );
  exports.stackRestore(stack);
  port.postMessage('ready');
  try {
    exports.hs_thread_run(thread);
  } catch (error) {
    // The owner may be waiting for a task of this thread.
    exports.hs_thread_fail();
    throw error;
  }
  // Node.js has the second only, Deno the first.
  if (globalThis.close) globalThis.close();
  else port.close();
};
