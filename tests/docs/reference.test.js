/** Whatever the package exports, and every function of the C headers, says what it does, takes and throws: `make reference` prints it. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { cFunctions, conventions, undocumentedC } from './helpers/c-reference.js';
import { NEVER_FAIL, signaturesOf, undocumentedJs } from './helpers/js-reference.js';
import { jsProject, ROOT, withDoxygen } from './helpers/reference.js';

const read = (/** @type {string} */ path) => readFile(join(ROOT, path), 'utf8');

test('every export of the package says what it does, takes and throws', { timeout: 120_000 }, async (t) => {
  const [, list] = /@typedef \{('bad-argument'[^}]*)\} ErrorCode/.exec(await read('web/errors.js')) ?? [];
  const codes = Array.from(list.matchAll(/'([\w-]+)'/g), ([, code]) => code);
  assert.ok(codes.length > 10);
  const project = await jsProject();
  assert.deepEqual(undocumentedJs(project, codes), []);

  const modules = project.children.map((/** @type {{name: string}} */ { name }) => name);
  const { exports } = JSON.parse(await read('package.json'));
  const entries = Object.values(exports).flatMap(({ types }) =>
    types ? [/** @type {string} */ (types).replace(/^.*\/|\.d\.ts$/g, '')] : [],
  );
  assert.deepEqual(modules.sort(), entries.sort(), 'tests/docs/reference/typedoc.json has the entry points of package.json');

  await t.test('and is missed where it does not', () => {
    const signatures = signaturesOf(project).filter(({ inheritedFrom }) => !inheritedFrom);
    assert.ok(signatures.length > 70, String(signatures.length));
    for (const signature of signatures) {
      for (const part of [signature, ...(signature.parameters ?? [])]) {
        const { comment } = part;
        if (!comment || signature.name === '__type') continue;
        part.comment = undefined;
        assert.notDeepEqual(undocumentedJs(project, codes), [], `${signature.name}, ${part.name}`);
        part.comment = comment;
      }
    }
    assert.deepEqual(undocumentedJs(project, codes), []);
    for (const name of Object.keys(NEVER_FAIL)) {
      const reason = NEVER_FAIL[/** @type {keyof typeof NEVER_FAIL} */ (name)];
      Reflect.deleteProperty(NEVER_FAIL, name);
      assert.match(
        undocumentedJs(project, codes).join(),
        new RegExp(`${name} does not say which errors`),
        'NEVER_FAIL lists what has no error',
      );
      Object.assign(NEVER_FAIL, { [name]: reason });
    }
  });
});

test('every function of the C headers says what it does and takes', { timeout: 120_000 }, async (t) => {
  const known = conventions(await read('src/base/hs.h'));
  assert.ok(known.includes('head_dim') && known.includes('scratch'), known.join());
  await withDoxygen('src wasm', async (folder) => {
    const functions = await cFunctions(folder);
    assert.ok(functions.length > 250, String(functions.length));
    assert.deepEqual(undocumentedC(functions, known), []);
    const names = new Set(functions.map(({ name }) => name));
    for (const name of ['hs_attend_decode', 'hs_kv_append', 'hs_self_test', 'hs_fma']) assert.ok(names.has(name), name);
  });

  await t.test('and is missed where it does not', async () => {
    const own = await mkdtemp(join(tmpdir(), 'halfspace-header-'));
    const header = await read('src/kv/kv.h');
    const without = header
      .replace('/* Removes the own keys at positions from..to-1: they keep their places, are reported no more and have no weight. */\n', '')
      .replace('Keys of the sealed chunk that starts at own index `first`.', 'Keys of a chunk.');
    assert.notEqual(without, header);
    await writeFile(join(own, 'kv.h'), without);
    const problems = await withDoxygen(own, async (folder) => undocumentedC(await cFunctions(folder), known));
    assert.deepEqual(
      problems.map((problem) => problem.replace(/^.*: /, '')),
      ['hs_kv_remove() has no comment', 'hs_kv_chunk() does not say what first is'],
    );
    await rm(own, { recursive: true });
  });
});
