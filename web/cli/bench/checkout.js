/** Peers, browsers and other runtimes: what a checkout of the repository has in tests/bench, and a package has not. */
import { HalfspaceError } from '../../errors.js';

/** @returns {Promise<typeof import('../../../tests/bench/index.js')>} */
export async function checkout() {
  try {
    return await import('../../../tests/bench/index.js');
  } catch (cause) {
    throw new HalfspaceError(
      'unsupported',
      `--peers and --runtime need a checkout of the repository and "make tools-bench": ${/** @type {Error} */ (cause).message}`,
      {
        field: 'peers',
        cause,
      },
    );
  }
}
