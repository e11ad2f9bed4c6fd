/** Loads a model into a new engine: by URL through the browser's storage, where there is one, or from a file. */
import { cachedModel, Engine, HalfspaceError, openOpfsStore } from 'halfspace';

/**
 * @typedef {import('./app.js').App} App
 * @typedef {Pick<import('./app.js').Model, 'name' | 'source' | 'sha256'>} Wanted
 *
 * @typedef {object} DefaultModel the site's own, as model.json has it
 * @property {string} file in the site's folder
 * @property {number} bytes
 * @property {string} sha256
 *
 * @typedef {object} Watch
 * @property {AbortSignal} signal
 * @property {(what: 'downloading' | 'starting', done: number, total: number) => void} onProgress
 * @property {(text: string) => void} onNote what the user should know: why it is not stored
 */

/** As much is lost, at most, when a download breaks. */
const PART_BYTES = 4 << 20;
const STORE = { folder: 'halfspace-models' };

/** @returns {Promise<DefaultModel>} */
export async function defaultModel() {
  const response = await fetch('./model.json');
  if (!response.ok) throw new HalfspaceError('io', `model.json: status ${response.status}`, { field: 'status', value: response.status });
  return response.json();
}

/** Models that are kept in this browser. @returns {Promise<import('../web/stores/store.js').Store>} */
export const modelStore = () => openOpfsStore(STORE);

/**
 * @param {App} app gets the engine
 * @param {Wanted} model
 * @param {Watch} watch
 * @returns {Promise<'file' | 'stored' | 'downloaded' | 'direct'>} where it came from; direct: from the network, and it is not stored
 * @throws {HalfspaceError} the engine that was there is there still
 */
export async function loadModel(app, model, watch) {
  const { kv, threads } = app.settings;
  const { signal, onProgress } = watch;
  const { source, from } = await openModel(model, watch);
  let bytes = 0;
  const engine = await Engine.load(source, {
    kv,
    threads,
    signal,
    onProgress: (done, total) => onProgress('starting', done, (bytes = total)),
  });
  app.setEngine(engine, { ...model, bytes, threads });
  return from;
}

/**
 * The model that was loaded last, with the settings of now, and the document that was open.
 * @param {App} app
 * @param {Watch} watch
 * @param {import('./app.js').OpenDocument} [document]
 */
export async function loadAgain(app, watch, document = app.document) {
  if (!app.model) throw new HalfspaceError('closed', 'No model has been loaded.', { field: 'model' });
  await loadModel(app, app.model, watch);
  if (document) await app.reopen?.(document);
}

/**
 * @param {Wanted} model
 * @param {Watch} watch
 * @returns {Promise<{source: import('../web/bytes/sources.js').Source, from: 'file' | 'stored' | 'downloaded' | 'direct'}>}
 */
async function openModel({ source, sha256 }, { signal, onProgress, onNote }) {
  if (source instanceof File) return { source, from: 'file' };
  let downloaded = false;
  try {
    await download(source, sha256, signal, (done, total) => {
      downloaded = true;
      onProgress('downloading', done, total);
    });
    const stored = await cachedModel(source, { store: await modelStore(), sha256, signal, partBytes: PART_BYTES });
    return { source: stored, from: downloaded ? 'downloaded' : 'stored' };
  } catch (error) {
    const why = whyNotStored(error);
    if (!why) throw error;
    onNote(why);
    return { source, from: 'direct' };
  }
}

/**
 * In a worker: it would keep the page from answering.
 * @param {string} url
 * @param {string | undefined} sha256
 * @param {AbortSignal} signal complete parts stay for the next time
 * @param {(done: number, total: number) => void} onProgress not called for what is stored already
 * @returns {Promise<void>}
 */
async function download(url, sha256, signal, onProgress) {
  const worker = new Worker(new URL('./download-worker.js', import.meta.url), { type: 'module' });
  try {
    await new Promise((resolve, reject) => {
      const stop = () => reject(new HalfspaceError('aborted', 'aborted by the user'));
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop);
      worker.onerror = ({ message }) =>
        reject(new HalfspaceError('worker-lost', `the download ended: ${message ?? 'its script is missing'}`));
      worker.onmessage = ({ data: { done, total, end, error } }) => {
        if (end) resolve(undefined);
        else if (error) reject(new HalfspaceError(error.code, error.message, error.details));
        else onProgress(done, total);
      };
      worker.postMessage({ url, sha256, folder: STORE.folder, partBytes: PART_BYTES });
    });
  } finally {
    worker.terminate();
  }
}

/** @param {unknown} error @returns {string} empty: it is another error */
function whyNotStored(error) {
  const code = error instanceof HalfspaceError ? error.code : '';
  if (code === 'quota') return 'This browser has no room to store the model, so it is loaded without being stored.';
  if (code === 'unsupported') return 'This browser stores no models for this page, so it is downloaded at each visit.';
  return '';
}
