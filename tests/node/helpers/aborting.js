/** Signals that abort at a chosen moment. */

const aborted = /** @type {() => boolean} */ (Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get);

/**
 * A signal that aborts when it is looked at for the nth time: whoever is given it is stopped at one of the points where it looks.
 * @param {number} n from 1 on
 * @returns {{signal: AbortSignal, reached: () => boolean}} reached: whether it aborted
 */
export function abortingAt(n) {
  const controller = new AbortController();
  const { signal } = controller;
  let looks = 0;
  Object.defineProperty(signal, 'aborted', {
    get() {
      if (++looks === n) controller.abort();
      return aborted.call(signal);
    },
  });
  return { signal, reached: () => looks >= n };
}
