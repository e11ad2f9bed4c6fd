/** The summary of all sections that a folder holds, what speaks against us first. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { markdown } from './section.js';

/** @typedef {import('./section.js').Found} Found */

/**
 * @param {string} folder
 * @param {string} name
 * @returns {Promise<Found[]>} none where this section has not run
 */
async function kept(folder, name) {
  try {
    return [JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))];
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * @param {string} folder
 * @param {{name: string}[]} sections in their order
 * @param {{charts: boolean}} options charts: they lie beside the summary
 * @returns {Promise<string>} Markdown
 */
export async function summary(folder, sections, { charts }) {
  const found = (await Promise.all(sections.map(({ name }) => kept(folder, name)))).flat();
  const against = found.flatMap((section) =>
    section.against.map((sentence) => `- ${sentence} ([${section.name}](#${anchor(section.title)}))`),
  );
  const chart = charts ? undefined : (/** @type {string} */ file) => `\`${folder}/${file}\` after the command.`;
  return `# Evidence

What the paper claims, and what has been asked of it, measured. \`make evidence\` prints every figure below (hours; \`make evidence-quick\`
the same with less of everything, in minutes), and writes tables as CSV and charts as SVG into \`${folder}\`; \`SECTIONS=name\` makes one
section alone. This file is written by it.

## What speaks against us

${against.join('\n')}

${found
  .map(
    (section) => `## ${section.title}

\`${section.command}\`, ${section.date}, ${section.where}

${markdown(section, chart)}`,
  )
  .join('\n')}`;
}

/** The heading's anchor, as GitHub makes it. @param {string} title */
const anchor = (title) =>
  title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
