/** What the package is made of: lock files are exact, and what the package and SECURITY.md say of dependencies is what they are. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { ROOT, runtimeDependencies, TABLE, tableOf } from '../../web/package/dependencies.js';

const FOLDERS = ['.', 'tests/bench', 'tests/docs', 'tests/package', 'tests/runtimes'];

test('every package of every lock file has one version, its hash, and comes from the registry', async () => {
  for (const folder of FOLDERS) {
    const { lockfileVersion, packages } = JSON.parse(await readFile(join(ROOT, folder, 'package-lock.json'), 'utf8'));
    const others = Object.entries(packages).filter(([path]) => path !== '');
    assert.ok(lockfileVersion === 3 && others.length > 0, folder);
    for (const [path, { version, integrity, resolved = '' }] of others) {
      assert.match(version, /^\d+\.\d+\.\d+/, path);
      assert.match(integrity, /^sha512-/, path);
      assert.ok(resolved === '' || resolved.startsWith('https://registry.npmjs.org/'), resolved);
    }
  }
});

test('the bill of materials is in the archive, and names what npm installs without tools', async () => {
  const { stdout: listed } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT });
  const paths = JSON.parse(listed)[0].files.map((/** @type {{path: string}} */ file) => file.path);
  assert.ok(paths.includes('build/halfspace.sbom.json'));

  const { stdout } = await promisify(execFile)('npm', ['ls', '--omit=dev', '--all', '--json'], { cwd: ROOT });
  /** @type {Set<string>} */
  const installed = new Set();
  const walk = (/** @type {Record<string, any>} */ dependencies = {}) => {
    for (const [name, { version, dependencies: own }] of Object.entries(dependencies)) {
      installed.add(`${name}@${version}`);
      walk(own);
    }
  };
  walk(JSON.parse(stdout).dependencies);
  const { packages } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8'));
  const { components, metadata } = JSON.parse(await readFile(join(ROOT, 'build/halfspace.sbom.json'), 'utf8'));
  assert.deepEqual(components.map((/** @type {any} */ { name, version }) => `${name}@${version}`).sort(), [...installed].sort());
  assert.equal(metadata.component.version, packages[''].version);
  for (const { name, version, hashes } of components) {
    const sha512 = Buffer.from(hashes[0].content, 'hex').toString('base64');
    const locked = Object.entries(packages).filter(([path, one]) => path.endsWith(`node_modules/${name}`) && one.version === version);
    assert.ok(
      locked.some(([, { integrity }]) => integrity === `sha512-${sha512}`),
      name,
    );
  }
});

test('the table in SECURITY.md is that of the lock file, with a reason for each', async () => {
  const dependencies = await runtimeDependencies();
  assert.equal(await TABLE.read(), tableOf(dependencies), 'make dependencies writes it');
  assert.throws(() => tableOf([...dependencies, { ...dependencies[0], name: 'left-pad', direct: true }]), /no reason for left-pad/);
  assert.throws(() => tableOf(dependencies.slice(1)), /reasons for nothing/);
});
