/** The page: the engine works in a worker, one job at a time, and the page stays free. */
import { Engine } from 'halfspace';

import { documentQuestion } from '/web/document-question.js';

const ANSWER_TOKENS = 48;
const element = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (element(id));
const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (element(id));
/** @type {Engine | undefined} */
let engine;
let running = new AbortController();

/** @param {boolean} busy */
function setBusy(busy) {
  button('ask').disabled = busy || !engine;
  button('stop').disabled = !busy;
  input('file').disabled = busy;
  element('progress').hidden = !busy;
  if (!busy) element('status').textContent = '';
}

/** @param {string} label @returns {(done: number, total: number) => void} */
const progress = (label) => (done, total) => {
  const bar = /** @type {HTMLProgressElement} */ (element('progress'));
  bar.max = total;
  bar.value = done;
  element('status').textContent = `${label}: ${Math.round((100 * done) / total)} %`;
};

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** @param {string | Blob} source @param {AbortSignal} signal */
async function load(source, signal) {
  const next = await Engine.load(source, { signal, threads: 'auto', onProgress: progress('loading the model') });
  engine?.close();
  engine = next;
  const { name, parameters, memoryBytes, variant, threads, reasons } = engine.info;
  const why = reasons.length ? ` (${reasons.join('; ')})` : '';
  element('info').textContent =
    `${name}, ${Math.round(parameters / 1e6)} M weights, ${Math.round(memoryBytes / 1e6)} MB, ${variant} SIMD, ${threads} thread${threads > 1 ? 's' : ''}${why}`;
}

/** @param {Engine} engine @param {AbortSignal} signal */
async function ask(engine, signal) {
  const ctx = Number(input('ctx').value);
  const { ids, shownTokens, documentTokens } = await documentQuestion(engine, input('document').value, input('question').value, {
    ctx,
    answerTokens: ANSWER_TOKENS,
  });
  if (shownTokens < documentTokens)
    element('dense-figures').textContent = `The context holds the first ${shownTokens} of the document’s ${documentTokens} tokens.`;
  const prefix = await engine.prefill(ids.slice(0, -1), { ctx, signal, onPrefill: progress('reading') });
  const speed = Math.round((prefix.length / prefix.prefillMs) * 1000);
  try {
    for (const mode of /** @type {const} */ (['dense', 'hsr'])) {
      element('status').textContent = `answering (${mode})`;
      const pieces = engine.generate(ids.slice(-1), {
        prefix,
        ctx,
        attention: mode,
        maxTokens: ANSWER_TOKENS,
        signal,
        onStats: ({ decodeMs, attention }) => {
          element(`${mode}-figures`).textContent =
            `${median(decodeMs).toFixed(1)} ms per token, ${(100 * attention.exactFraction).toFixed(1)} % of keys evaluated exactly. ${prefix.length} tokens read at ${speed} tokens/s.`;
        },
      });
      for await (const { text } of pieces) element(mode).append(text);
    }
  } finally {
    prefix.free();
  }
}

/** @param {(signal: AbortSignal) => Promise<void>} job */
async function run(job) {
  element('error').hidden = true;
  running = new AbortController();
  setBusy(true);
  try {
    await job(running.signal);
  } catch (error) {
    const { code, message } = /** @type {import('../web/errors.js').HalfspaceError} */ (error);
    element('error').hidden = false;
    element('error').textContent = code === 'aborted' ? 'Stopped.' : message;
  } finally {
    setBusy(false);
  }
}

button('stop').onclick = () => running.abort();
button('ask').onclick = () => {
  for (const id of ['dense', 'hsr', 'dense-figures', 'hsr-figures']) element(id).textContent = '';
  const ready = engine;
  if (ready) void run((signal) => ask(ready, signal));
};
input('file').onchange = () => {
  const file = input('file').files?.[0];
  if (file) void run((signal) => load(file, signal));
};

input('document').value = await (await fetch('/demo/documents/alice.txt')).text();
await run((signal) => load('/model.gguf', signal));
