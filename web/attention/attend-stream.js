/** Attention as a stream of queries. */
import { aborted, throwIfAborted } from '../abort.js';
import { attend } from './attend.js';

/**
 * @param {import('./kv-cache.js').KvCache} cache
 * @param {import('./attend.js').AttendOptions & {signal?: AbortSignal}} options
 * @returns {TransformStream<import('./rows.js').Rows, import('./attend.js').Attended>}
 */
export function attendStreamOf(cache, { signal, ...options }) {
  throwIfAborted(signal);
  /** @type {() => void} */
  let stop;
  return new TransformStream({
    start(controller) {
      stop = () => controller.error(aborted(signal));
      signal?.addEventListener('abort', stop);
    },
    transform(queries, controller) {
      controller.enqueue(attend(cache, queries, options));
    },
    flush() {
      signal?.removeEventListener('abort', stop);
    },
  });
}
