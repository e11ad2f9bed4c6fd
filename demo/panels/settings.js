/** Settings: each with a line that says what it does, checked, and kept for the next visit. */
import { element } from '../element.js';
import { loadAgain } from '../loading.js';
import { CHOICES, flatOf, NUMBERS, settingsOf } from '../settings.js';
import { megabytes } from '../view/format.js';

/**
 * @typedef {import('../app.js').App} App
 * @typedef {import('../settings.js').Flat} Flat
 */

const KEY = 'halfspace-settings';

/** @param {App} app */
export function mountSettings(app) {
  const panel = new SettingsPanel(app, /** @type {HTMLElement} */ (document.getElementById('settings')));
  panel.restore();
}

class SettingsPanel {
  /** @type {Map<string, HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>} */
  #controls = new Map();
  #reload = element('p', { className: 'notice', role: 'status', hidden: true });
  #again;
  #details;

  /** @param {App} app @param {HTMLElement} section */
  constructor(app, section) {
    this.app = app;
    this.#again = element('button', { type: 'button', className: 'quiet', onclick: () => this.#loadAgain() }, 'Load again');
    this.#reload.append('The cache or the threads have changed: that takes effect once the model is loaded again. ', this.#again);
    const reset = element('button', { type: 'button', className: 'quiet', onclick: () => this.#reset() }, 'Back to the defaults');
    const title = /** @type {HTMLElement} */ (section.querySelector('h2'));
    const attention = ['strength', 'eps', 'r', 'farField'];
    const engine = ['kv', 'threads', 'ctx'];
    const answers = ['temperature', 'topP', 'seed', 'maxTokens', 'systemPrompt'];
    this.#details = element(
      'details',
      {},
      element('summary', {}, title),
      ...[
        { legend: 'Attention: which words it looks at', names: attention },
        { legend: 'Engine', names: engine },
        { legend: 'Answers', names: answers },
      ].map(({ legend, names }) => this.#group(legend, names)),
      element('div', { className: 'actions' }, reset),
    );
    section.append(this.#reload, this.#details);
    app.on('settings', () => this.#show());
    app.on('engine', () => this.#show());
    app.on('job', () => this.#show());
    this.#show();
  }

  /** What was kept; a value that is no longer allowed is left out. */
  restore() {
    const kept = load();
    const flat = flatOf(this.app.settings);
    for (const name of Object.keys(flat)) {
      const value = kept[name];
      if (value !== undefined && problemOf(name, value) === '') flat[name] = value;
    }
    this.app.set(settingsOf(flat));
  }

  /** @param {string} legend @param {string[]} names */
  #group(legend, names) {
    const fields = names.map((name) => this.#field(name));
    return element('fieldset', {}, element('legend', {}, legend), element('div', { className: 'fields' }, ...fields));
  }

  /** @param {string} name */
  #field(name) {
    const id = `setting-${name}`;
    const { label, hint } = CHOICES[name] ?? NUMBERS[name] ?? SYSTEM_PROMPT;
    const described = { id, 'aria-describedby': `${id}-hint ${id}-problem` };
    const control = CHOICES[name]
      ? element('select', described, ...CHOICES[name].options.map(([value, text]) => element('option', { value }, text)))
      : name === 'systemPrompt'
        ? element('textarea', { ...described, rows: 2, maxLength: 2000 })
        : element('input', { ...described, type: 'text', inputMode: 'decimal', autocomplete: 'off' });
    control.addEventListener('change', () => this.#change(name));
    this.#controls.set(name, control);
    return element(
      'div',
      { className: 'field', id: `${id}-field` },
      element('label', { htmlFor: id }, label),
      control,
      element('p', { id: `${id}-hint`, className: 'hint' }, hint),
      element('p', { id: `${id}-problem`, className: 'problem', role: 'alert' }),
    );
  }

  /** @param {string} name */
  #change(name) {
    const value = this.#control(name).value.trim();
    const problem = problemOf(name, value);
    this.#complain(name, problem);
    if (problem) return;
    const flat = { ...flatOf(this.app.settings), [name]: value };
    this.app.set(settingsOf(flat));
    save(flat);
  }

  /** @param {string} name */
  #control(name) {
    return /** @type {HTMLInputElement} */ (this.#controls.get(name));
  }

  /** @param {string} name @param {string} problem */
  #complain(name, problem) {
    this.#control(name).setAttribute('aria-invalid', String(problem !== ''));
    const place = document.getElementById(`setting-${name}-problem`);
    if (place) place.textContent = problem;
  }

  #show() {
    const flat = flatOf(this.app.settings);
    for (const [name, control] of this.#controls) {
      // What is wrong stays to be mended.
      if (control.getAttribute('aria-invalid') === 'true' && control.value.trim() !== flat[name]) continue;
      control.value = flat[name];
    }
    const { strength } = flat;
    const hidden = { eps: strength !== 'certified', r: strength !== 'exact', farField: strength === 'dense' };
    for (const [name, isHidden] of Object.entries(hidden)) {
      const field = this.#control(name).parentElement;
      if (field) field.hidden = isHidden;
    }
    const { engine, model, settings, job } = this.app;
    this.#reload.hidden = !engine || (engine.kv === settings.kv && model?.threads === settings.threads);
    this.#again.disabled = job !== undefined;
  }

  async #loadAgain() {
    const { app } = this;
    await app.run('loading the model again', (signal) =>
      loadAgain(app, {
        signal,
        onProgress: (what, done, total) => app.tell('progress', { label: `${megabytes(done)} of ${megabytes(total)}`, done, total }),
        onNote: () => {},
      }),
    );
  }

  #reset() {
    for (const name of this.#controls.keys()) this.#complain(name, '');
    this.app.set(settingsOf(flatOf(this.app.defaults)));
    save({});
  }
}

const SYSTEM_PROMPT = {
  label: 'System prompt',
  hint: 'What the model is told about its part before it reads. Empty: the model’s own. Takes effect with the next document.',
};

/** @param {string} name @param {unknown} value @returns {string} empty: it is allowed */
function problemOf(name, value) {
  if (typeof value !== 'string') return 'This must be text.';
  if (CHOICES[name]) return CHOICES[name].options.some(([option]) => option === value) ? '' : 'Choose one of the list.';
  return NUMBERS[name] ? NUMBERS[name].problem(value) : '';
}

/** @returns {Record<string, string | undefined>} */
function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return typeof kept === 'object' && kept !== null ? kept : {};
  } catch {
    return {}; // no storage, or not ours: the defaults
  }
}

/** @param {Partial<Flat>} flat */
function save(flat) {
  try {
    localStorage.setItem(KEY, JSON.stringify(flat));
  } catch {
    // Where nothing can be kept, they hold until the page is left.
  }
}
