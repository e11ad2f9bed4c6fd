/** Loads a model: the site's own by one button, or one by URL, by file picker, or dropped on the page. */
import { element } from '../element.js';
import { defaultModel, loadModel, modelStore } from '../loading.js';
import { Speed } from '../speed.js';
import { perFrame, whenChosen } from '../view/dom.js';
import { megabytes } from '../view/format.js';

/**
 * @typedef {import('../app.js').App} App
 * @typedef {import('../loading.js').Wanted} Wanted
 */

const FROM = {
  file: 'from your file',
  stored: 'from this browser’s storage, without a download',
  downloaded: 'downloaded, and stored for the next visit',
  direct: 'downloaded, and not stored',
};

/** @param {App} app */
export function mountModel(app) {
  const panel = new ModelPanel(app, /** @type {HTMLElement} */ (document.getElementById('model')));
  void panel.showDefault();
  void panel.showStored();
}

class ModelPanel {
  #start;
  #size = element('p', { className: 'hint' });
  #loaded = element('p', { role: 'status', className: 'loaded' });
  #note = element('p', { role: 'status', className: 'hint' });
  #bar = element('progress', { max: 1, 'aria-labelledby': 'model-progress' });
  #barText = element('span', { id: 'model-progress', className: 'figures' });
  #progress;
  #url = element('input', {
    id: 'model-url',
    type: 'url',
    required: true,
    placeholder: 'https://huggingface.co/…/resolve/main/model.gguf',
  });
  #file = element('input', { id: 'model-file', type: 'file', accept: '.gguf' });
  #loadUrl = element('button', { type: 'submit', className: 'quiet' }, 'Load');
  #stored = element('p', { hidden: true });
  #delete;
  #storedText = element('span');

  /** @param {App} app @param {HTMLElement} section */
  constructor(app, section) {
    this.app = app;
    this.section = section;
    this.#start = element('button', { id: 'start', type: 'button', className: 'big', onclick: () => this.#loadDefault() }, 'Start');
    const cancel = element('button', { type: 'button', className: 'quiet', id: 'cancel-model', onclick: () => app.stop() }, 'Cancel');
    this.#delete = element(
      'button',
      { type: 'button', className: 'quiet', id: 'delete-models', onclick: () => this.#deleteStored() },
      'Delete',
    );
    this.#progress = element('div', { className: 'model-progress', hidden: true }, this.#barText, this.#bar, cancel);
    this.#stored.append(this.#storedText, ' ', this.#delete);
    const byUrl = element(
      'form',
      { className: 'field' },
      element('label', { htmlFor: 'model-url' }, 'Address of a GGUF file, for example on Hugging Face'),
      element('div', { className: 'beside' }, this.#url, this.#loadUrl),
    );
    byUrl.addEventListener('submit', (event) => {
      event.preventDefault();
      const { href, pathname } = new URL(this.#url.value);
      void this.#load({ name: decodeURIComponent(pathname.split('/').pop() || href), source: href });
    });
    whenChosen(this.#file, (file) => void this.#load({ name: file.name, source: file }));
    section.append(
      element('div', { className: 'start' }, this.#start, this.#size),
      this.#loaded,
      this.#progress,
      this.#note,
      element(
        'details',
        { className: 'alternatives' },
        element('summary', {}, 'Another model'),
        byUrl,
        element(
          'div',
          { className: 'field' },
          element('label', { htmlFor: 'model-file' }, 'Or a GGUF file of your own: choose it, or drop it anywhere on this page'),
          this.#file,
        ),
        this.#stored,
      ),
    );
    this.#acceptDrops();
    app.on('job', () => this.#show());
    app.on('engine', () => this.#show());
    this.#show();
  }

  async showDefault() {
    try {
      const { bytes } = await defaultModel();
      this.#size.textContent = `Loads a small model, SmolLM2, of ${megabytes(bytes)}. Nothing that you type or open leaves this computer.`;
    } catch {
      // Start tells, in words.
      this.#size.textContent = 'Nothing that you type or open leaves this computer.';
    }
  }

  /** What models take of this browser's storage. */
  async showStored() {
    const bytes = await modelStore().then(
      (store) => store.bytes(),
      () => 0, // no storage, nothing stored
    );
    this.#stored.hidden = bytes === 0;
    this.#storedText.textContent = `Models take ${megabytes(bytes)} of this browser’s storage.`;
    this.#delete.setAttribute('aria-label', `Delete stored models, ${megabytes(bytes)}`);
  }

  #show() {
    const { job, engine, model } = this.app;
    for (const control of [this.#start, this.#url, this.#file, this.#loadUrl, this.#delete]) control.disabled = job !== undefined;
    const start = /** @type {HTMLElement} */ (this.#start.parentElement);
    start.hidden = engine !== undefined;
    if (engine && model) {
      const { parameters, threads, variant } = engine.info;
      const simd = variant === 'relaxed' ? 'relaxed SIMD' : 'SIMD';
      const size = parameters < 1e6 ? 'under a million' : `${Math.round(parameters / 1e6)} million`;
      this.#loaded.textContent = `${model.name}: ${size} parameters, ${threads === 1 ? 'one thread' : `${threads} threads`}, ${simd}; ${this.#from}.`;
    } else this.#loaded.textContent = '';
  }

  #from = '';

  async #loadDefault() {
    await this.#load(async () => {
      const { file, sha256 } = await defaultModel();
      return { name: file, source: new URL(file, document.baseURI).href, sha256 };
    });
  }

  /** @param {Wanted | (() => Promise<Wanted>)} wanted */
  async #load(wanted) {
    const { app } = this;
    const speed = new Speed();
    this.#note.textContent = '';
    await app.run('loading the model', async (signal) => {
      this.#tell('Asking for the model', 0, 0);
      this.#progress.hidden = false;
      try {
        const from = await loadModel(app, typeof wanted === 'function' ? await wanted() : wanted, {
          signal,
          onProgress: (what, done, total) => {
            const size = `${megabytes(done)} of ${megabytes(total)}`;
            this.#tell(what === 'downloading' ? `Downloading ${size}${speed.words(done, total)}` : `Starting: ${size}`, done, total);
          },
          onNote: (text) => (this.#note.textContent = text),
        });
        this.#from = FROM[from];
        this.#show();
      } finally {
        this.#progress.hidden = true;
        this.#newest = undefined;
      }
    });
    await this.showStored();
  }

  /** @type {{label: string, done: number, total: number} | undefined} */
  #newest;

  /** @param {string} label @param {number} done @param {number} total */
  #tell(label, done, total) {
    this.#newest = { label, done, total };
    this.app.tell('progress', this.#newest);
    this.#draw();
  }

  #draw = perFrame(() => {
    if (!this.#newest) return;
    const { label, done, total } = this.#newest;
    this.#newest = undefined;
    this.#barText.textContent = label;
    if (total > 0) this.#bar.value = done / total;
    else this.#bar.removeAttribute('value');
  });

  async #deleteStored() {
    await this.app.run('deleting stored models', async () => {
      const store = await modelStore();
      for (const { name } of await store.list()) await store.delete(name);
      this.#note.textContent = 'The stored models are deleted. What is loaded stays until you leave.';
    });
    await this.showStored();
  }

  /** Anywhere on the page, but for texts in the documents' box. */
  #acceptDrops() {
    const isOurs = (/** @type {DragEvent} */ { dataTransfer, target }) =>
      dataTransfer?.types.includes('Files') && !(target instanceof Element && target.closest('#documents'));
    const isModel = (/** @type {DragEvent} */ { dataTransfer }) => dataTransfer?.files[0]?.name.toLowerCase().endsWith('.gguf');
    addEventListener('dragover', (event) => {
      if (isOurs(event)) event.preventDefault();
    });
    const drop = (/** @type {DragEvent} */ event) => {
      const file = event.dataTransfer?.files[0];
      if (!file || !(isOurs(event) || isModel(event))) return;
      event.preventDefault();
      event.stopPropagation();
      void this.#load({ name: file.name, source: file });
    };
    // Before the documents' box, which takes texts.
    window.addEventListener('drop', drop, { capture: true });
  }
}
