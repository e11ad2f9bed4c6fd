/** Whether a difference is more than chance. */

/**
 * Sign test: how likely so many heads or more are, of so many throws of a coin. McNemar's test where throws are the questions that
 * one way answers rightly and the other does not.
 * @param {number} heads
 * @param {number} throws
 * @returns {number} 1 of none
 */
export function chanceOf(heads, throws) {
  let term = 2 ** -throws;
  let sum = 0;
  for (let k = 0; k <= throws; k++) {
    if (k >= heads) sum += term;
    term *= (throws - k) / (k + 1);
  }
  return Math.min(1, sum);
}
