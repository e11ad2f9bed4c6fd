/** The Makefile as make reads it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { ROOT } from './reference.js';

/**
 * @typedef {object} Target
 * @property {string[]} needs targets
 * @property {string[]} recipe commands, with values in the place of variables
 *
 * @typedef {{targets: Map<string, Target>, variables: Map<string, string>}} Makefile
 */

/** As where no other make has started this. */
export const OUTSIDE = { ...process.env, MAKEFLAGS: '', MAKELEVEL: '' };
const SHELL_DOLLAR = '\u0000';

/** $(if ...), $(or ...) and the like, whose values take make itself, are words here. @param {string} text @returns {string} */
function withoutFunctions(text) {
  const start = text.search(/\$\(\w+ /);
  if (start < 0) return text;
  let [end, depth] = [start + 1, 0];
  do depth += { '(': 1, ')': -1 }[text[end++]] ?? 0;
  while (depth > 0 && end < text.length);
  return `${text.slice(0, start)}VALUE${withoutFunctions(text.slice(end))}`;
}

/** @returns {Promise<Makefile>} */
export async function readMakefile() {
  // It prints what it has read, and ends with 1 as something is to be made.
  const { stdout } = await promisify(execFile)('make', ['-pRrnq', 'help'], { cwd: ROOT, env: OUTSIDE, maxBuffer: 1 << 26 }).catch(
    (error) => error,
  );
  /** @type {Makefile} */
  const makefile = { targets: new Map(), variables: new Map() };
  /** @type {Target | undefined} */
  let target;
  for (const line of String(stdout).replaceAll(/\\\n/g, ' ').split('\n')) {
    const [, name, value] = /^(\w+) :?:?= ?(.*)$/.exec(line) ?? [];
    const [, names, needs] = /^([\w./%-]+):(?!=) ?([^=]*)$/.exec(line) ?? [];
    if (name) makefile.variables.set(name, value);
    else if (names) makefile.targets.set(names, (target = { needs: needs.replace('|', '').split(' ').filter(Boolean), recipe: [] }));
    else if (line === '') target = undefined;
    else if (line.startsWith('\t')) target?.recipe.push(line.slice(1));
  }
  const valued = (/** @type {string} */ text) => {
    let result = text.replaceAll('$$', SHELL_DOLLAR);
    for (let depth = 0; depth < 5; depth++) result = result.replaceAll(/\$\((\w+)\)/g, (_, name) => makefile.variables.get(name) ?? '');
    return withoutFunctions(result).replaceAll(SHELL_DOLLAR, '$').replace(/^@/, '');
  };
  for (const one of makefile.targets.values()) one.recipe = one.recipe.map(valued);
  return makefile;
}

/**
 * A target and all that it needs.
 * @param {Makefile} makefile
 * @param {string[]} names
 * @returns {Set<string>}
 */
export function closure({ targets }, names) {
  /** @type {Set<string>} */
  const all = new Set();
  const add = (/** @type {string} */ name) => {
    if (all.has(name) || !targets.has(name)) return;
    all.add(name);
    targets.get(name)?.needs.forEach(add);
  };
  names.forEach(add);
  return all;
}
