/** What went wrong, in words, with what to do; starts an engine again that was lost, with its document. */
import { element } from '../element.js';
import { loadAgain } from '../loading.js';
import { megabytes } from '../view/format.js';

/**
 * @typedef {import('../app.js').App} App
 * @typedef {import('../app.js').Failure} Failure
 */

/** Errors that may mean that the engine is gone. */
const FATAL = new Set(['worker-lost', 'closed']);

/** @param {App} app */
export function mountFailure(app) {
  const panel = new FailurePanel(app, /** @type {HTMLElement} */ (document.getElementById('failure')));
  app.on('failure', (failure) => panel.show(failure));
  app.on('job', () => panel.update());
}

class FailurePanel {
  #title = element('h2');
  #advice = element('p');
  #outcome = element('p', { role: 'status' });
  #technical = element('code');
  /** @type {Failure | undefined} */
  #failure;
  /** Jobs that this panel starts leave its words where they are. */
  #recovering = false;
  #again;
  #restart;
  #buttons;

  /** @param {App} app @param {HTMLElement} section */
  constructor(app, section) {
    this.app = app;
    this.section = section;
    this.#again = element('button', { type: 'button', onclick: () => void this.#failure?.retry() }, 'Try again');
    this.#restart = element('button', { type: 'button', onclick: () => void this.#recover() }, 'Start the engine again');
    const close = element('button', { type: 'button', className: 'quiet', onclick: () => this.#hide() }, 'Close');
    this.#buttons = [this.#again, this.#restart];
    section.append(
      element('div', { role: 'alert' }, this.#title, this.#advice),
      this.#outcome,
      element('details', {}, element('summary', {}, 'Details'), this.#technical),
      element('div', { className: 'actions' }, this.#again, this.#restart, close),
    );
  }

  /** @param {Failure | undefined} failure */
  show(failure) {
    if (!failure) {
      if (!this.#recovering) this.#hide();
      return;
    }
    const { title, advice, again, error } = failure;
    if (this.#recovering) {
      this.#outcome.textContent = `It could not be started again: ${title} ${advice}`;
      this.#restart.hidden = false;
      return;
    }
    this.#failure = failure;
    this.#title.textContent = title;
    this.#advice.textContent = advice;
    this.#outcome.textContent = '';
    this.#technical.textContent = technical(error);
    this.#again.hidden = !again;
    this.#restart.hidden = error.code !== 'out-of-memory' || !this.app.engine;
    this.section.classList.toggle('calm', error.code === 'aborted');
    this.section.hidden = false;
    this.update();
    // The job that failed has not ended yet.
    if (FATAL.has(error.code)) setTimeout(() => this.#recoverIfLost());
  }

  update() {
    for (const button of this.#buttons) button.disabled = this.app.job !== undefined;
  }

  #hide() {
    this.section.hidden = true;
    this.#failure = undefined;
  }

  /** What failed may have been another engine, that was only just being loaded. */
  async #recoverIfLost() {
    const { engine } = this.app;
    try {
      await engine?.tokenize('');
    } catch {
      if (this.app.engine === engine) await this.#recover();
    }
  }

  async #recover() {
    const { app } = this;
    const document = app.document ?? this.#lost;
    this.#lost = document;
    this.#recovering = true;
    this.#restart.hidden = true;
    this.#outcome.textContent = 'The engine is started again…';
    app.loseEngine();
    await app.run('starting the engine again', async (signal) => {
      await loadAgain(
        app,
        { signal, onProgress: (what, done, total) => app.tell('progress', progress(what, done, total)), onNote: () => {} },
        document,
      );
      this.#outcome.textContent = document ? `The engine runs again, and “${document.title}” is open.` : 'The engine runs again.';
      this.#lost = undefined;
    });
    this.#recovering = false;
  }

  /** What was open when an engine was lost that could not be started again yet. @type {import('../app.js').OpenDocument | undefined} */
  #lost;
}

/** @param {string} what @param {number} done @param {number} total */
const progress = (what, done, total) => ({ label: `${what}: ${megabytes(done)} of ${megabytes(total)}`, done, total });

/** @param {import('../app.js').HalfspaceError} error */
function technical({ code, message, field, value, limit }) {
  const parts = [code && `code ${code}`, field && `field ${field}`, value !== undefined && `value ${text(value)}`];
  return [message, ...parts, limit !== undefined && `limit ${text(limit)}`].filter(Boolean).join(' · ');
}

/** @param {unknown} value */
const text = (value) => String(typeof value === 'object' ? JSON.stringify(value) : value).slice(0, 200);
