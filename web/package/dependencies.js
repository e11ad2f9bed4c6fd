/**
 * What the package needs when it runs, out of package-lock.json: as a bill of materials in the package (CycloneDX 1.5; the same
 * bytes from the same lock file), and as SECURITY.md's table. `node web/package/dependencies.js [--table]` writes either.
 */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { markedTable } from './marked-table.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** SECURITY.md's. */
export const TABLE = markedTable(join(ROOT, 'SECURITY.md'), '<!-- dependencies: make dependencies -->', '<!-- /dependencies -->');

/** Why each is needed. Who adds a dependency says so here. @type {Record<string, string>} */
const REASONS = {
  '@huggingface/jinja': 'runs the chat template of a model',
  '@noble/hashes': 'SHA-256 of a stream, which the platforms do not offer',
  'cli-progress': 'progress bars of the command',
  commander: 'options of the command',
  fflate: 'unpacks the model that the command pulls',
  'wasm-feature-detect': 'which build this machine can run',
};

/**
 * @typedef {{version: string, integrity: string, license: string, dev?: boolean, devOptional?: boolean, dependencies?: Record<string, string>}} Locked
 * @typedef {{name: string, version: string, integrity: string, license: string, direct: boolean, neededBy: string[], bytes: number}} Dependency
 */

/** @param {string} folder */
async function bytesOf(folder) {
  let sum = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name === 'node_modules') continue;
    sum += entry.isDirectory() ? await bytesOf(path) : (await stat(path)).size;
  }
  return sum;
}

/** By name. @returns {Promise<Dependency[]>} */
export async function runtimeDependencies() {
  /** @type {{packages: Record<string, Locked>}} */
  const { packages } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8'));
  const direct = Object.keys(packages[''].dependencies ?? {});
  const places = Object.entries(packages).filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional);
  const nameOf = (/** @type {string} */ path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const all = places.map(async ([path, { version, integrity, license }]) => ({
    name: nameOf(path),
    version,
    integrity,
    license,
    direct: direct.includes(nameOf(path)),
    neededBy: places.filter(([, { dependencies }]) => dependencies?.[nameOf(path)]).map(([by]) => nameOf(by)),
    bytes: await bytesOf(join(ROOT, path)),
  }));
  return (await Promise.all(all)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @param {Dependency[]} dependencies */
async function billOf(dependencies) {
  const { name, version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const purl = (/** @type {string} */ of, /** @type {string} */ at) => `pkg:npm/${of.replace('@', '%40')}@${at}`;
  const component = (/** @type {string} */ of, /** @type {string} */ at) => ({
    'bom-ref': purl(of, at),
    name: of,
    version: at,
    purl: purl(of, at),
  });
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { type: 'library', ...component(name, version) } },
    components: dependencies.map((one) => ({
      type: 'library',
      ...component(one.name, one.version),
      hashes: [{ alg: 'SHA-512', content: Buffer.from(one.integrity.replace('sha512-', ''), 'base64').toString('hex') }],
      licenses: [{ license: { id: one.license } }],
    })),
  };
}

/** @param {Dependency[]} dependencies @throws {Error} one has no reason, or a reason no dependency */
export function tableOf(dependencies) {
  const direct = dependencies.filter((one) => one.direct).map(({ name }) => name);
  const missing = direct.filter((name) => !REASONS[name]);
  const stale = Object.keys(REASONS).filter((name) => !direct.includes(name));
  if (missing.length + stale.length > 0)
    throw new Error(`web/package/dependencies.js: no reason for ${missing}; reasons for nothing: ${stale}`);
  const row = (/** @type {Dependency} */ one) =>
    `| ${one.name} ${one.version} | ${one.license} | ${Math.ceil(one.bytes / 1024)} | ${one.direct ? REASONS[one.name] : `of ${one.neededBy.join(', ')}`} |`;
  return ['| Package | License | KB | What for |', '| --- | --- | ---: | --- |', ...dependencies.map(row)].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const dependencies = await runtimeDependencies();
  if (process.argv.includes('--table')) {
    await TABLE.write(tableOf(dependencies));
  } else {
    await writeFile(join(ROOT, 'build/halfspace.sbom.json'), `${JSON.stringify(await billOf(dependencies), null, 2)}\n`);
  }
}
