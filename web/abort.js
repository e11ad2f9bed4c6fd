/** Abort signals of callers, as errors. */
import { HalfspaceError } from './errors.js';

/** @param {AbortSignal | undefined} signal */
export const aborted = (signal) => new HalfspaceError('aborted', 'aborted by the caller', { cause: signal?.reason });

/** @param {AbortSignal | undefined} signal */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw aborted(signal);
}

/**
 * Waits no longer once a signal aborts: what is waited for may never come.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
export async function orAborted(promise, signal) {
  if (!signal) return promise;
  /** @type {() => void} */
  let stop = () => {};
  const stopped = new Promise((resolve) => {
    stop = () => resolve(undefined);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
  });
  try {
    await Promise.race([promise, stopped]);
    throwIfAborted(signal);
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
