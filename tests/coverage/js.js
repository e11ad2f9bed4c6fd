// Coverage of JavaScript from what V8 wrote (NODE_V8_COVERAGE): every process and worker that ran a module counts. V8 counts blocks;
// which branches they are is told by the syntax tree.
import { mergeScriptCovs } from '@bcoe/v8-coverage';
import { parse } from 'acorn';
import { convert } from 'ast-v8-to-istanbul';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { tally } from './c.js';

/** @import { FileCoverage } from './report.js' */

/**
 * @param {string} folder of V8's files
 * @param {string} root what names are relative to
 * @param {string} under names of other folders are left out
 */
function scriptsOf(folder, root, under) {
  const prefix = pathToFileURL(join(root, under)).href;
  const scripts = new Map();
  for (const name of readdirSync(folder)) {
    for (const script of JSON.parse(readFileSync(join(folder, name), 'utf8')).result) {
      const url = script.url.replace(/[?#].*/, '');
      if (!url.startsWith(prefix)) continue;
      if (!scripts.has(url)) scripts.set(url, []);
      scripts.get(url).push({ ...script, url });
    }
  }
  return scripts;
}

/**
 * @param {string} code
 * @param {object} coverage of one script
 * @returns {Promise<FileCoverage>}
 */
async function fileCoverage(code, coverage) {
  const ast = parse(code, { ecmaVersion: 'latest', sourceType: 'module', locations: true, allowHashBang: true });
  const [data] = Object.values(await convert({ ast, code, coverage, wrapperLength: 0 }));
  const lines = new Map();
  for (const [id, { start }] of Object.entries(data.statementMap)) lines.set(start.line, Math.max(lines.get(start.line) ?? 0, data.s[id]));
  const branches = new Map();
  for (const [id, { type, loc, locations }] of Object.entries(data.branchMap)) {
    data.b[id].forEach((count, way) => {
      const at = locations[way]?.start?.line === undefined ? loc.start : locations[way].start;
      branches.set(`${at.line}:${at.column} ${type} ${way}`, count);
    });
  }
  return { lines: tally(lines), branches: tally(branches) };
}

/**
 * @param {string} folder of V8's files
 * @param {string[]} names of the modules that are to be covered; what no process loaded is covered by 0
 * @param {string} root what names are relative to
 * @returns {Promise<Map<string, FileCoverage>>}
 */
export async function coverageOfJs(folder, names, root) {
  const scripts = scriptsOf(folder, root, 'web/');
  const files = new Map();
  for (const name of names) {
    const path = join(root, name);
    const url = pathToFileURL(path).href;
    const code = readFileSync(fileURLToPath(url), 'utf8');
    const never = {
      functions: [{ functionName: '', isBlockCoverage: true, ranges: [{ startOffset: 0, endOffset: code.length, count: 0 }] }],
    };
    files.set(name, await fileCoverage(code, { ...(mergeScriptCovs(scripts.get(url) ?? []) ?? never), url }));
  }
  return files;
}
