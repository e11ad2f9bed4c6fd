/** What stands in a page for web/cli/bench/checkout.js. */

/** @returns {Promise<never>} */
export async function checkout() {
  throw new Error('peers run beside Node.js alone');
}
