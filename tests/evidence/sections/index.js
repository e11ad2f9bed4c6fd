/** All sections, in the order of the summary. */

/**
 * @type {{name: string, title: string, run: (section: import('../section.js').Section,
 *   setting: import('../section.js').Setting) => Promise<void>}[]}
 */
export const SECTIONS = [];
