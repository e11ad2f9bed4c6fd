/** What hostile input may do: work, or be refused by a typed error. Anything else is a finding. */
import { HalfspaceError } from '../../web/errors.js';

/** One input may make the process grow by so much at most. */
const MOST_GROWTH = 128 << 20;

/** @param {unknown} error */
export function checkRefusal(error) {
  const typed =
    error instanceof HalfspaceError && typeof error.code === 'string' && (typeof error.field === 'string' || error.code === 'aborted');
  if (!typed) throw new Error(`not a typed error: ${/** @type {Error} */ (error)?.stack ?? String(error)}`, { cause: error });
}

/**
 * @param {() => unknown} run
 * @returns {Promise<boolean>} whether it worked
 */
export async function worksOrRefuses(run) {
  try {
    await run();
    return true;
  } catch (error) {
    checkRefusal(error);
    return false;
  }
}

/** @param {() => Promise<void>} run */
export async function withoutGrowth(run) {
  const before = process.memoryUsage.rss();
  await run();
  const growth = process.memoryUsage.rss() - before;
  if (growth > MOST_GROWTH) throw new Error(`one input made the process grow by ${growth >> 20} MB`);
}
