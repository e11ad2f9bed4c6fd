/** The form of something that is measured as a job: its fields, a button that starts it, and those that save what came of it. */
import { element } from '../element.js';
import { downloadJson } from './download.js';

export class Trial {
  #start;
  #savers;
  /** Of the last one, once it was done to its end. @type {object | undefined} */
  #report;

  /**
   * @param {import('../app.js').App} app
   * @param {object} options
   * @param {string} options.id of the section; also in the names of files
   * @param {string} options.label of the button that starts it
   * @param {string} options.job its name while it runs
   * @param {(signal: AbortSignal) => Promise<void>} options.work
   * @param {HTMLElement[]} options.fields
   * @param {HTMLButtonElement[]} [options.savers] further buttons that need a finished one
   */
  constructor(app, { id, label, job, work, fields, savers = [] }) {
    this.app = app;
    this.#start = element('button', { id: `${id}-start`, type: 'submit' }, label);
    const save = element('button', { id: `${id}-save`, type: 'button', className: 'quiet' }, 'Save as JSON');
    this.#savers = [save, ...savers];
    this.form = element('form', { className: 'race-form' }, ...fields, this.#start, ...this.#savers);
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void app.run(job, work);
    });
    save.addEventListener('click', () => this.#report && downloadJson(this.#report, `halfspace-${id}.json`));
    for (const event of /** @type {const} */ (['engine', 'document', 'job'])) app.on(event, () => this.#enable());
    this.#enable();
  }

  get isFinished() {
    return this.#report !== undefined;
  }

  /** @param {object | undefined} report undefined: there is none any more */
  finish(report) {
    this.#report = report;
    this.#enable();
  }

  #enable() {
    const { engine, document, job } = this.app;
    this.#start.disabled = !engine || !document || job !== undefined;
    for (const button of this.#savers) button.disabled = !this.isFinished;
  }
}
