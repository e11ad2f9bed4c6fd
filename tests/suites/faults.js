/** A disk on which a process dies, or which is full, at a chosen step: for stores in any runtime. */

/**
 * Counts what changes a disk; the chosen step does not happen, or half of it where it is a write, and nothing works any more.
 * What was not flushed by then is lost in part.
 */
export class FaultPlan {
  steps = 0;
  dead = false;
  /** @type {Map<unknown, () => unknown>} */
  #unsaved = new Map();
  /** @type {Promise<unknown>[]} */
  #endings = [];

  /**
   * @param {number} at the step, from 1
   * @param {() => Error} [failure] of this step alone, instead of death
   */
  constructor(at, failure) {
    this.at = at;
    this.failure = failure;
  }

  /** Whether the step came. */
  get reached() {
    return this.steps >= this.at;
  }

  /** The disk as the dead leaves it. */
  async settled() {
    await Promise.all(this.#endings);
  }

  /**
   * @param {unknown} key what is open or not flushed
   * @param {(() => unknown) | undefined} lose what death does to it; undefined: no more
   */
  atDeath(key, lose) {
    if (lose) this.#unsaved.set(key, lose);
    else this.#unsaved.delete(key);
  }

  alive() {
    if (this.dead) throw new Error('dead');
  }

  /**
   * @template T
   * @param {() => T} run
   * @param {() => unknown} [half] what of it is done at death
   * @returns {T}
   */
  step(run, half) {
    this.alive();
    if (++this.steps !== this.at) return run();
    if (this.failure) throw this.failure();
    this.dead = true;
    this.#endings.push(this.#die(half));
    throw new Error('dead');
  }

  /** @param {(() => unknown) | undefined} half */
  async #die(half) {
    // Where both are synchronous, so is death.
    const halfDone = half?.();
    if (halfDone instanceof Promise) await halfDone;
    for (const lose of this.#unsaved.values()) await lose();
  }
}

/** @param {Uint8Array} bytes */
export const halfOf = (bytes) => bytes.subarray(0, bytes.length >> 1);
