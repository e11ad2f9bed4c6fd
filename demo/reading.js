/** Opens a document: resumes its snapshot where that fits the engine and the settings, else reads its text. */
import { HalfspaceError } from 'halfspace';

import { readable, reserveOf } from './prompt.js';

/**
 * @typedef {import('./app.js').App} App
 * @typedef {import('./library.js').Made} Made
 * @typedef {import('../web/snapshot/resume.js').SnapshotSource} SnapshotSource
 *
 * @typedef {object} Readable a document, wherever it is from
 * @property {string} id
 * @property {string} title
 * @property {string[]} questions
 * @property {(signal: AbortSignal) => Promise<string>} text
 * @property {Made} [made] of the snapshot that there is
 * @property {number} [bytes] of it
 * @property {(signal: AbortSignal) => Promise<SnapshotSource>} snapshot
 *
 * @typedef {(done: number, total: number) => void} OnProgress
 */

/** Errors that are not the snapshot's fault. @type {unknown[]} */
const NOT_ITS_FAULT = ['aborted', 'closed', 'worker-lost', 'out-of-memory'];

/** Of a snapshot that cannot be used: the text can still be read. */
export class SnapshotProblem extends Error {
  /** @param {HalfspaceError} cause */
  constructor(cause) {
    super(cause.message, { cause });
    this.code = cause.code;
  }
}

/**
 * Why a snapshot does not fit what is loaded and set now.
 * @param {App} app
 * @param {Made} made
 * @returns {string} empty: it does
 */
export function misfit({ engine, settings }, made) {
  if (made.fingerprint === undefined || made.fingerprint !== engine?.config.fingerprint) return 'it was read with another model';
  if (made.kv !== engine.kv) return `it was read with a ${made.kv} KV cache`;
  if (made.system !== settings.systemPrompt) return 'it was read under another system prompt';
  if (made.tokens + reserveOf(settings.ctx) > settings.ctx) return `it has more tokens than the context of ${settings.ctx} has room for`;
  return '';
}

/**
 * @param {App} app
 * @param {Readable} source
 * @param {AbortSignal} signal
 * @param {{anew: boolean, onBytes: OnProgress, onTokens: OnProgress}} options anew: without its snapshot
 * @returns {Promise<{made: Made, resumed: boolean, documentTokens: number}>} app.document is open
 * @throws {SnapshotProblem | HalfspaceError}
 */
export async function openDocument(app, source, signal, { anew, onBytes, onTokens }) {
  const { engine, settings } = app;
  if (!engine) throw new HalfspaceError('closed', 'Load a model first.', { field: 'engine' });
  const text = await source.text(signal);
  const resumed = !anew && source.made !== undefined && misfit(app, source.made) === '';
  const { fingerprint } = engine.config;
  const cut = resumed && source.made ? source.made : { ctx: settings.ctx, system: settings.systemPrompt };
  const prompt = await readable(engine, text, { ctx: cut.ctx, limit: 'limit' in cut ? cut.limit : undefined, system: cut.system });
  const { ids, start, documentTokens } = prompt;
  const prefix = resumed
    ? await resume(engine, source, ids, {
        ctx: settings.ctx,
        signal,
        onProgress: (done, total = source.bytes ?? done) => onBytes(done, total),
      })
    : await engine.prefill(ids, { ctx: settings.ctx, signal, onPrefill: onTokens });
  const { id, title, questions } = source;
  app.setDocument({ id, title, questions, text: prompt.text, systemPrompt: prompt.system, prefix, tokens: { start, end: ids.length } });
  const made = { fingerprint, kv: engine.kv, system: prompt.system, ctx: cut.ctx, tokens: ids.length };
  return { made, resumed, documentTokens };
}

/**
 * @param {import('./app.js').Engine} engine
 * @param {Readable} source
 * @param {number[]} ids that its snapshot must be of
 * @param {import('../web/snapshot/resume.js').ReadOptions & {ctx: number}} options
 */
async function resume(engine, source, ids, options) {
  try {
    const prefix = await engine.resume(await source.snapshot(/** @type {AbortSignal} */ (options.signal)), options);
    if (prefix.length === ids.length && prefix.ids.every((id, i) => id === ids[i])) return prefix;
    prefix.free();
    throw new HalfspaceError('bad-file', 'it is of another text', { field: 'tokens', value: prefix.length, limit: ids.length });
  } catch (error) {
    if (options.signal?.aborted) throw new HalfspaceError('aborted', 'aborted by the caller', { cause: error });
    if (error instanceof HalfspaceError && NOT_ITS_FAULT.includes(error.code)) throw error;
    throw new SnapshotProblem(/** @type {HalfspaceError} */ (error));
  }
}
