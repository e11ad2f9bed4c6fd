/** All sections, in the order of the summary. */
import { run as tasks } from './tasks.js';

/**
 * @type {{name: string, title: string, run: (section: import('../section.js').Section,
 *   setting: import('../section.js').Setting) => Promise<void>}[]}
 */
export const SECTIONS = [{ name: 'tasks', title: 'Tasks beyond perplexity', run: tasks }];
