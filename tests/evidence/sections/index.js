/** All sections, in the order of the summary. */
import { run as sweep } from './sweep.js';

/**
 * @type {{name: string, title: string, run: (section: import('../section.js').Section,
 *   setting: import('../section.js').Setting) => Promise<void>}[]}
 */
export const SECTIONS = [{ name: 'sweep', title: 'Quality against r, and sparsity by layer', run: sweep }];
