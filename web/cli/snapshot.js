/** `snapshot save | load | inspect | verify`: prefilled contexts as files. */
import * as fs from 'node:fs/promises';

import { HalfspaceError } from '../errors.js';
import { inspectSnapshot, verifySnapshot } from '../snapshot/inspect.js';
import { createWholeFile } from '../stores/whole-file.js';
import { loadEngine, print, progress, readText, withMegabytes } from './common.js';
import { round } from './numbers.js';

/** @typedef {import('./common.js').ModelOptions} ModelOptions */

/** @param {number} bytes @param {number} ms */
const speed = (bytes, ms) => ({ bytes, mbPerSecond: round(bytes / 1e3 / ms) });

/** @param {string} path @param {ReadableStream<Uint8Array>} stream */
async function writeWhole(path, stream) {
  try {
    const file = await createWholeFile(fs, `${path}.part-${process.pid}`);
    try {
      for await (const piece of stream) await file.write(piece);
      await file.seal();
      await file.commit(path);
    } catch (error) {
      await file.discard();
      throw error;
    }
  } catch (cause) {
    if (cause instanceof HalfspaceError) throw cause;
    throw new HalfspaceError('io', `cannot write ${path}: ${/** @type {Error} */ (cause).message}`, { field: 'out', value: path, cause });
  }
}

/**
 * @param {import('../engine.js').Engine} engine
 * @param {string[]} files
 * @param {number} [ctx]
 */
const resume = (engine, files, ctx) => withMegabytes('resuming', (onProgress) => engine.resume(files, { ctx, onProgress }));

/** @param {ModelOptions & {file: string, out: string, base?: string[]}} options */
export async function save({ file, out, base, json, ...options }) {
  const text = await readText(file);
  const engine = await loadEngine(options);
  const before = base ? await resume(engine, base, options.ctx) : undefined;
  const ids = engine.tokenize(text, { addSpecial: before === undefined }).slice(0, engine.ctx - (before?.length ?? 0));
  const bar = progress('prefill', 'tokens');
  const prefix = await engine.prefill(ids, { prefix: before, onPrefill: bar.update });
  bar.stop();
  /** @type {import('../snapshot/reader.js').SnapshotInfo | undefined} */
  let info;
  const began = performance.now();
  await writeWhole(out, prefix.snapshot({ since: before?.saved, onInfo: (given) => (info = given) }));
  const saveMs = performance.now() - began;
  const { hash, bytes, records, header } = /** @type {import('../snapshot/reader.js').SnapshotInfo} */ (info);
  print(
    {
      out,
      hash,
      base: header.base,
      tokens: prefix.length,
      records,
      prefillMs: round(prefix.prefillMs),
      saveMs: round(saveMs),
      ...speed(bytes, saveMs),
    },
    json,
  );
  engine.close();
}

/** @param {string[]} files @param {ModelOptions & {prompt?: string, maxTokens: number, attention: 'dense' | 'hsr'}} options */
export async function load(files, { prompt, maxTokens, attention, json, ...options }) {
  const engine = await loadEngine(options);
  const prefix = await resume(engine, files, options.ctx);
  const sizes = await Promise.all(files.map(async (file) => (await fs.stat(file)).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const result = { hash: prefix.saved?.hash, tokens: prefix.length, resumeMs: round(prefix.prefillMs), ...speed(bytes, prefix.prefillMs) };
  /** @type {number[]} */
  const ids = [];
  let answer = '';
  if (prompt !== undefined) {
    for await (const { id, text } of engine.generate(prompt, { prefix, maxTokens, attention })) {
      ids.push(id);
      answer += text;
      if (!json) process.stdout.write(text);
    }
    if (!json) process.stdout.write('\n');
  }
  engine.close();
  print({ ...result, ...(prompt !== undefined && json && { ids, text: answer }) }, json);
}

/** @param {string} file @param {{json?: boolean}} options */
export async function inspect(file, { json }) {
  const { layout, valueNorms: _norms, ...header } = await inspectSnapshot(file);
  const parts = Math.max(...layout.map((layer) => layer.length));
  print({ ...header, parts, sealed: layout[0].reduce((sum, [sealed]) => sum + sealed, 0) }, json);
}

/** @param {string[]} files @param {{json?: boolean}} options */
export async function verify(files, { json }) {
  const began = performance.now();
  let bytes = 0;
  const { info } = await verifySnapshot(files, { onProgress: (done) => (bytes = done) });
  const { hash, header, records, checksums } = info;
  print(
    {
      hash,
      base: header.base,
      tokens: header.tokens,
      records,
      chunks: Object.keys(checksums).length,
      ...speed(bytes, performance.now() - began),
    },
    json,
  );
}
