/** The Web Locks API within one thread, for versions of Node.js without it: what is asked for first is granted first. */

/** @typedef {{mode: string, granted: boolean, grant: () => void}} Request */

export function createLocks() {
  /** @type {Map<string, Request[]>} granted ones, then those that wait */
  const queues = new Map();
  return {
    /**
     * @param {string} name
     * @param {any} optionsOrRun
     * @param {any} [run]
     */
    async request(name, optionsOrRun, run = optionsOrRun) {
      const { mode = 'exclusive', ifAvailable = false, signal } = run === optionsOrRun ? {} : optionsOrRun;
      signal?.throwIfAborted();
      if (!queues.has(name)) queues.set(name, []);
      const queue = queues.get(name);
      const free = queue.every((other) => mode === 'shared' && other.mode === 'shared' && other.granted);
      if (ifAvailable && !free) return run(null);
      const end = await granted(queue, mode, signal);
      try {
        return await run({ name, mode });
      } finally {
        end();
      }
    },
  };
}

/** @param {Request[]} queue @param {string} mode @param {AbortSignal | undefined} signal */
function granted(queue, mode, signal) {
  return new Promise((resolve, reject) => {
    const leave = () => {
      queue.splice(queue.indexOf(request), 1);
      grantNext(queue);
    };
    const abort = () => {
      leave();
      reject(signal.reason);
    };
    const request = {
      mode,
      granted: false,
      grant() {
        request.granted = true;
        signal?.removeEventListener('abort', abort);
        resolve(leave);
      },
    };
    signal?.addEventListener('abort', abort);
    queue.push(request);
    grantNext(queue);
  });
}

/** @param {Request[]} queue */
function grantNext(queue) {
  for (const [index, request] of queue.entries()) {
    if (index > 0 && (request.mode === 'exclusive' || queue[0].mode === 'exclusive')) return;
    if (!request.granted) request.grant();
  }
}
