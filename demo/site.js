/**
 * Puts the demo together as a folder of static files, build/site: any static host can serve it.
 *
 *     node demo/site.js [--model FILE] [--folder FOLDER]
 *
 * makes a folder that is whole, with the model's file and the documents' snapshots in it; what serve.js serves links to them.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, cp, link, mkdir, readdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import process from 'node:process';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { pullModel } from '../web/cli/pull.js';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What of demo/ is for Node.js, not for pages. */
const NOT_SERVED = new Set([
  'edge',
  'serve.js',
  'site.js',
  'snapshots.js',
  'shipped.js',
  'screenshot.js',
  'trace.js',
  'visit.js',
  'screenshot.png',
]);
/** Larger files are not kept for use without the network by the service worker: models and snapshots. */
const MOST_KEPT = 1 << 20;
/** Changes while snapshots are being made. */
const FRESH = ['documents.json'];

/**
 * @param {string} model path of the default model
 * @param {{folder?: string, whole?: boolean}} [options] whole: with the model's file, not a link to it
 * @returns {Promise<string>} folder
 */
export async function buildSite(model, { folder = join(root, 'build', 'site'), whole = false } = {}) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(join(root, 'demo')))
    if (!NOT_SERVED.has(name)) await cp(join(root, 'demo', name), join(folder, name), { recursive: true });
  for (const name of await readdir(join(root, 'build')))
    if (/^halfspace.*\.(js|wasm|txt)$/.test(name)) await cp(join(root, 'build', name), join(folder, name));
  await cp(join(root, 'node_modules/uplot/dist/uPlot.esm.js'), join(folder, 'uplot.js'));
  await cp(join(root, 'node_modules/uplot/dist/uPlot.min.css'), join(folder, 'uplot.css'));
  const file = join(folder, basename(model));
  await (whole ? placeFile(resolve(model), file) : symlink(resolve(model), file));
  const { size } = await stat(model);
  await writeFile(join(folder, 'model.json'), JSON.stringify({ file: basename(model), bytes: size, sha256: await sha256Of(model) }));
  await listForServiceWorker(folder, basename(model));
  return folder;
}

/** A second name where that is possible, else a copy. @param {string} from @param {string} to */
async function placeFile(from, to) {
  try {
    await link(from, to);
  } catch {
    await copyFile(from, to);
  }
}

/** @param {string} path */
async function sha256Of(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/**
 * What service-worker.js keeps. The version is a hash of all of it: another one makes browsers fetch the page anew.
 * @param {string} folder
 * @param {string} model
 */
async function listForServiceWorker(folder, model) {
  const hash = createHash('sha256');
  const files = [];
  for (const entry of (await readdir(folder, { recursive: true, withFileTypes: true })).sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1))) {
    const path = relative(folder, pathOf(entry)).split(sep).join('/');
    if (!entry.isFile() || path === model || (await stat(pathOf(entry))).size > MOST_KEPT) continue;
    hash.update(path).update(await readFile(pathOf(entry)));
    if (path !== 'service-worker.js') files.push(path);
  }
  const site = { version: hash.digest('hex').slice(0, 16), files, fresh: FRESH };
  await writeFile(join(folder, 'service-worker-files.js'), `self.SITE = ${JSON.stringify(site)};\n`);
}

/** @param {import('node:fs').Dirent} entry */
const pathOf = ({ parentPath, name }) => join(parentPath, name);

/** Puts files in the places of links. @param {string} folder */
async function embed(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const path = pathOf(entry);
    const target = await realpath(path);
    await rm(path);
    await placeFile(target, path);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { model = await pullModel('smollm2'), folder } = parseArgs({
    options: { model: { type: 'string' }, folder: { type: 'string' } },
  }).values;
  // Only here: it needs an engine.
  const { prepareSnapshots } = await import('./shipped.js');
  const site = await buildSite(model, { folder, whole: true });
  await (
    await prepareSnapshots(site, model)
  ).done;
  await embed(join(site, 'documents'));
  process.stdout.write(`${site}\n`);
}
