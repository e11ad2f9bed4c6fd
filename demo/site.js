/** Puts the demo together as a folder of static files, build/site: any static host can serve it. */
import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What of demo/ is for Node.js, not for pages. */
const NOT_SERVED = new Set(['edge', 'serve.js', 'site.js', 'snapshots.js', 'shipped.js']);

/**
 * @param {string} model path of the default model, which the folder links to
 * @param {string} [folder]
 * @returns {Promise<string>} folder
 */
export async function buildSite(model, folder = join(root, 'build', 'site')) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(join(root, 'demo')))
    if (!NOT_SERVED.has(name)) await cp(join(root, 'demo', name), join(folder, name), { recursive: true });
  for (const name of await readdir(join(root, 'build')))
    if (/^halfspace.*\.(js|wasm|txt)$/.test(name)) await cp(join(root, 'build', name), join(folder, name));
  await cp(join(root, 'node_modules/uplot/dist/uPlot.esm.js'), join(folder, 'uplot.js'));
  await cp(join(root, 'node_modules/uplot/dist/uPlot.min.css'), join(folder, 'uplot.css'));
  await symlink(resolve(model), join(folder, basename(model)));
  return folder;
}
