// Coverage of C code from `llvm-cov export`, one file per form of the kernels: counts of the same place are added up, whichever
// form and copy of a header's function they come from.
import { readFileSync } from 'node:fs';

/** @import { FileCoverage } from './report.js' */

/**
 * A line is covered when a region of code that begins in it ran, or else the region that it lies in (LLVM's LineCoverageStats).
 * Segments: [line, column, count, has a count, begins a region, is a gap], in the order of the text.
 * @param {[number, number, number, boolean, boolean, boolean][]} segments
 * @param {Map<number, number>} counts of lines, added to
 */
function addLines(segments, counts) {
  let around = null;
  for (let i = 0; i < segments.length;) {
    const line = segments[i][0];
    const here = [];
    for (; i < segments.length && segments[i][0] === line; i++) here.push(segments[i]);
    const regions = here.filter(([, , , counted, begins, gap]) => counted && begins && !gap);
    if (regions.length > 0 || around?.[3]) {
      const count = Math.max(around?.[3] ? around[2] : 0, ...regions.map((region) => region[2]));
      counts.set(line, (counts.get(line) ?? 0) + count);
    }
    around = here.at(-1);
    const next = segments[i]?.[0] ?? line;
    for (let inside = line + 1; around[3] && inside < next; inside++) counts.set(inside, (counts.get(inside) ?? 0) + around[2]);
  }
}

/**
 * @param {string[]} exports paths of what `llvm-cov export` wrote
 * @param {string} root what names are relative to
 * @returns {Map<string, FileCoverage>}
 */
export function coverageOfC(exports, root) {
  /** @type {Map<string, { lines: Map<number, number>, branches: Map<string, number> }>} */
  const files = new Map();
  for (const path of exports) {
    for (const { filename, segments, branches } of JSON.parse(readFileSync(path, 'utf8')).data[0].files) {
      const name = filename.slice(root.length + 1);
      if (!files.has(name)) files.set(name, { lines: new Map(), branches: new Map() });
      const sum = files.get(name);
      addLines(segments, sum.lines);
      for (const [line, column, endLine, endColumn, taken, not] of branches) {
        for (const [way, count] of [
          ['true', taken],
          ['false', not],
        ]) {
          const place = `${line}:${column}-${endLine}:${endColumn} ${way}`;
          sum.branches.set(place, (sum.branches.get(place) ?? 0) + count);
        }
      }
    }
  }
  return new Map([...files].map(([name, { lines, branches }]) => [name, { lines: tally(lines), branches: tally(branches) }]));
}

/** @param {Map<string | number, number>} counts */
export function tally(counts) {
  const missed = [...counts].filter(([, count]) => count === 0).map(([place]) => String(place));
  return { total: counts.size, covered: counts.size - missed.length, missed };
}
