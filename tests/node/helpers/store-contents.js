/** The same bytes in every process. */
import { seededRandom } from './random.js';

const random = seededRandom(5);
const bytes = (/** @type {number} */ length) => Uint8Array.from({ length }, () => 256 * random());
export const KEPT = bytes(5_000);
export const OLD = bytes(15_000);
export const NEW = bytes(20_001);
