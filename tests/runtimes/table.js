/** The README's table of what runs where, made of the results of the suite. `node tests/runtimes/table.js` writes it. */
import { pathToFileURL } from 'node:url';

import { markedTable } from '../../web/package/marked-table.js';
import { RUNTIMES } from './runtimes.js';
import { serve } from './served.js';

/** The README's. */
export const TABLE = markedTable(new URL('../../README.md', import.meta.url), '<!-- runtimes: make table -->', '<!-- /runtimes -->');

/**
 * @typedef {import('../suites/index.js').Result} Result
 * @typedef {{name: string, results: Result[]}} Run
 */

/** @param {Run[]} runs */
export function tableOf(runs) {
  /** @type {string[]} */
  const notes = [];
  const cell = (/** @type {Result[]} */ cases) => {
    const failed = cases.filter(({ ok }) => !ok);
    if (failed.length > 0) throw new Error(`${failed[0].area}, ${failed[0].name}: ${failed[0].error}`);
    const why = cases.find(({ notAllowed }) => notAllowed)?.notAllowed;
    if (!why) return String(cases.length);
    if (!notes.includes(why)) notes.push(why);
    return `no (${notes.indexOf(why) + 1})`;
  };
  const areas = [...new Set(runs[0].results.map(({ area }) => area))];
  const rows = areas.map((area) => [area, ...runs.map(({ results }) => cell(results.filter((result) => result.area === area)))]);
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`;
  const head = [line(['Tests passed', ...runs.map(({ name }) => name)]), line(['---', ...runs.map(() => '---:')])];
  const foot = notes.map((note, i) => `${i + 1}. ${note}`);
  return [...head, ...rows.map(line), '', ...foot].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const served = await serve();
  const runs = [];
  for (const { name, allowed, run } of RUNTIMES) runs.push({ name, results: await run(served, allowed) });
  await served.close();
  await TABLE.write(tableOf(runs));
}
