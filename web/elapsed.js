/**
 * Milliseconds since `began`, which performance.now() gave; never less than 0, whatever the clock does.
 * @param {number} began
 */
export const elapsedSince = (began) => Math.max(0, performance.now() - began);
