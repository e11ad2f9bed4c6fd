/** The engine in a worker: one job at a time, the page stays free. Messages are described in demo/page.js. */
import { documentQuestion } from '../web/document-question.js';
import { Engine } from '../web/engine.js';

/** @type {Engine | undefined} */
let engine;
/** @type {AbortController | undefined} */
let running;
const ANSWER_TOKENS = 48;
const BUILDS = ['relaxed.threads', 'simd.threads', 'relaxed', 'simd'];

const post = (/** @type {object} */ message) => self.postMessage(message);

/** @param {string | Blob} source @param {AbortSignal} signal */
async function load(source, signal) {
  const next = await Engine.load(source, {
    signal,
    threads: 'auto',
    wasm: Object.fromEntries(BUILDS.map((build) => [build, new URL(`/build/halfspace.${build}.wasm`, location.origin)])),
    onProgress: (done, total) => post({ type: 'progress', label: 'loading the model', done, total }),
  });
  engine?.close();
  engine = next;
  post({ type: 'loaded', info: engine.info });
}

/** @param {{text: string, question: string, ctx: number}} job @param {AbortSignal} signal */
async function ask({ text, question, ctx }, signal) {
  if (!engine) throw new Error('no model is loaded');
  const { ids, shownTokens, documentTokens } = documentQuestion(engine, text, question, { ctx, answerTokens: ANSWER_TOKENS });
  post({ type: 'reading', tokens: shownTokens, of: documentTokens });
  const prefix = await engine.prefill(ids.slice(0, -1), {
    ctx,
    signal,
    onPrefill: (done, total) => post({ type: 'progress', label: 'reading', done, total }),
  });
  try {
    post({ type: 'read', tokens: prefix.length, ms: prefix.prefillMs });
    for (const mode of /** @type {const} */ (['dense', 'hsr'])) {
      const pieces = engine.generate(ids.slice(-1), {
        prefix,
        ctx,
        attention: mode,
        maxTokens: ANSWER_TOKENS,
        signal,
        onStats: (stats) => post({ type: 'stats', mode, decodeMs: stats.decodeMs, exactFraction: stats.attention.exactFraction }),
      });
      for await (const { id, text } of pieces) post({ type: 'token', mode, id, text });
    }
  } finally {
    prefix.free();
  }
}

self.onmessage = async ({ data }) => {
  if (data.type === 'stop') {
    running?.abort();
    return;
  }
  running = new AbortController();
  try {
    if (data.type === 'load') await load(data.source, running.signal);
    else await ask(data, running.signal);
    post({ type: 'done', job: data.type });
  } catch (error) {
    const { code, message } = /** @type {import('../web/errors.js').HalfspaceError} */ (error);
    post({ type: 'failed', job: data.type, code, message });
  }
};
