/**
 * The page. To the worker: {type: 'load', source}, {type: 'ask', text, question, ctx}, {type: 'stop'}. From it: 'progress',
 * 'loaded', 'reading', 'read', 'token', 'stats', then 'done' or 'failed' for each job.
 */
const element = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (element(id));
const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (element(id));
const worker = new Worker(new URL('/build/demo/worker.js', location.origin), { type: 'module' });
let loaded = false;

/** @param {boolean} busy */
function setBusy(busy) {
  button('ask').disabled = busy || !loaded;
  button('stop').disabled = !busy;
  input('file').disabled = busy;
  element('progress').hidden = !busy;
  if (!busy) element('status').textContent = '';
}

/** @param {object} job */
function start(job) {
  element('error').hidden = true;
  setBusy(true);
  worker.postMessage(job);
}

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** @type {Record<string, (message: any) => void>} */
const handlers = {
  progress({ label, done, total }) {
    const bar = /** @type {HTMLProgressElement} */ (element('progress'));
    bar.max = total;
    bar.value = done;
    element('status').textContent = `${label}: ${Math.round((100 * done) / total)} %`;
  },
  loaded({ info }) {
    loaded = true;
    const why = info.reasons.length ? ` (${info.reasons.join('; ')})` : '';
    element('info').textContent =
      `${info.name}, ${Math.round(info.parameters / 1e6)} M weights, ${Math.round(info.memoryBytes / 1e6)} MB, ${info.variant} SIMD, ${info.threads} thread${info.threads > 1 ? 's' : ''}${why}`;
  },
  reading({ tokens, of }) {
    if (tokens < of) element('dense-figures').textContent = `The context holds the first ${tokens} of the document’s ${of} tokens.`;
  },
  read({ tokens, ms }) {
    element('info').dataset.read = `${tokens} tokens read at ${Math.round((tokens / ms) * 1000)} tokens/s`;
  },
  token({ mode, id, text }) {
    const answer = element(mode);
    answer.textContent += text;
    answer.dataset.tokens = `${answer.dataset.tokens ?? ''}${id} `;
    element('status').textContent = `answering (${mode})`;
  },
  stats({ mode, decodeMs, exactFraction }) {
    element(`${mode}-figures`).textContent =
      `${median(decodeMs).toFixed(1)} ms per token, ${(100 * exactFraction).toFixed(1)} % of keys evaluated exactly. ${element('info').dataset.read}.`;
  },
  done() {
    setBusy(false);
  },
  failed({ code, message }) {
    setBusy(false);
    element('error').hidden = false;
    element('error').textContent = code === 'aborted' ? 'Stopped.' : message;
  },
};

worker.onerror = ({ message }) =>
  handlers.failed({ code: 'io', message: `the worker did not start: ${message ?? 'its script failed to load'}` });
worker.onmessage = ({ data }) => handlers[data.type](data);
button('stop').onclick = () => worker.postMessage({ type: 'stop' });
button('ask').onclick = () => {
  for (const mode of ['dense', 'hsr']) {
    element(mode).textContent = '';
    element(mode).dataset.tokens = '';
    element(`${mode}-figures`).textContent = '';
  }
  start({ type: 'ask', text: input('document').value, question: input('question').value, ctx: Number(input('ctx').value) });
};
input('file').onchange = () => {
  const file = input('file').files?.[0];
  if (file) start({ type: 'load', source: file });
};

input('document').value = await (await fetch('/demo/documents/alice.txt')).text();
start({ type: 'load', source: new URL('/model.gguf', location.origin).href });
