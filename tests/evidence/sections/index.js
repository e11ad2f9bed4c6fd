/** All sections, in the order of the summary. */
import { run as baselines } from './baselines.js';
import { run as relu } from './relu.js';
import { run as sweep } from './sweep.js';

/**
 * @type {{name: string, title: string, run: (section: import('../section.js').Section,
 *   setting: import('../section.js').Setting) => Promise<void>}[]}
 */
export const SECTIONS = [
  { name: 'sweep', title: 'Quality against r, and sparsity by layer', run: sweep },
  { name: 'relu', title: 'ReLU^alpha reporting', run: relu },
  { name: 'baselines', title: 'Other ways of choosing keys, at equal keys read', run: baselines },
];
