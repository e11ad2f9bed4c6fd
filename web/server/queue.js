/** One request at a time: the model's threads serve one generation best, and memory holds one context in use. */
import { throwIfAborted } from '../abort.js';
import { elapsedSince } from '../elapsed.js';
import { HalfspaceError } from '../errors.js';
import { ApiError } from './errors.js';

const MAX_RETRY_SECONDS = 60;

export class Queue {
  /** @type {(() => void)[]} */
  #waiting = [];
  #busy = false;
  /** How long the last task took. */
  #seconds = 0;

  /** @param {number} limit tasks that may wait */
  constructor(limit) {
    this.limit = limit;
  }

  get waiting() {
    return this.#waiting.length;
  }

  get busy() {
    return this.#busy;
  }

  /**
   * Runs a task when those before it have ended.
   * @param {() => Promise<void>} task
   * @param {AbortSignal} signal leaves the queue; the task itself has to look after it once it runs
   * @throws {ApiError} 429: the queue is full
   */
  async run(task, signal) {
    throwIfAborted(signal);
    if (this.#busy) await this.#turn(signal);
    this.#busy = true;
    const start = performance.now();
    try {
      await task();
    } finally {
      this.#seconds = elapsedSince(start) / 1000;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy = false;
    }
  }

  /** @param {AbortSignal} signal @returns {Promise<void>} */
  #turn(signal) {
    if (this.#waiting.length >= this.limit) {
      const seconds = Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(this.#seconds * (this.#waiting.length + 1))));
      throw new ApiError(429, `${this.#waiting.length} requests wait already, ${this.limit} may`, {
        type: 'rate_limit_error',
        code: 'queue_full',
        headers: { 'retry-after': String(seconds) },
      });
    }
    return new Promise((resolve, reject) => {
      const start = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1);
        reject(new HalfspaceError('aborted', 'the request left the queue', { field: 'signal' }));
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(start);
    });
  }
}
