/** What `make tools-bench` installs in this folder. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { profileBuilds } from '../../web/cli/bench/phases.js';
import { HalfspaceError } from '../../web/errors.js';

/** @param {string} path in node_modules */
export const installedPath = (path) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));

/** @param {string} what @param {unknown} [cause] */
export const notInstalled = (what, cause) =>
  new HalfspaceError('unsupported', `${what} is not installed: run "make tools-bench tools-browser"`, {
    field: 'peers',
    value: what,
    cause,
  });

/** @param {string} path */
export const notBuilt = (path) =>
  new HalfspaceError('unsupported', `${path} is not there: run "make bench-builds"`, { field: 'build', value: path });

/** Builds with a clock around each phase. */
export function builtProfiles() {
  const builds = profileBuilds(new URL('../../build/', import.meta.url));
  const missing = Object.values(builds).find((url) => !existsSync(url));
  if (missing) throw notBuilt(fileURLToPath(missing));
  return builds;
}

/** @param {string} name of a package */
export async function installedVersion(name) {
  try {
    return /** @type {string} */ (JSON.parse(await readFile(installedPath(`${name}/package.json`), 'utf8')).version);
  } catch (cause) {
    throw notInstalled(name, cause);
  }
}
