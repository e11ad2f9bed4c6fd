/** Where a text of one's own comes in: pasted, picked, or dropped. */
import { element } from '../element.js';
import { MAX_TEXT_BYTES } from '../texts.js';
import { whenChosen } from '../view/dom.js';
import { count } from '../view/format.js';

export class OwnTextForm {
  #text = element('textarea', { id: 'own-text', rows: 4, required: true, spellcheck: false });
  #file = element('input', { type: 'file', id: 'own-file', accept: '.txt,.text,.md,.markdown,text/plain,text/markdown' });
  #read = element('button', { type: 'submit' }, 'Read this text');

  /**
   * @param {HTMLElement} place where files may be dropped
   * @param {{onText: (text: string) => void, onFile: (file: File) => void}} listeners
   */
  constructor(place, { onText, onFile }) {
    const limit = `${count(MAX_TEXT_BYTES / 1e6)} MB`;
    const form = element(
      'form',
      {},
      element('label', { htmlFor: 'own-text' }, 'Paste a text'),
      this.#text,
      element('div', { className: 'actions' }, this.#read),
      element('label', { htmlFor: 'own-file' }, `Or pick a .txt or .md file of at most ${limit}, or drop one anywhere in this box`),
      this.#file,
      element('p', { className: 'hint' }, 'It stays on this device: nothing is sent anywhere.'),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      onText(this.#text.value);
    });
    whenChosen(this.#file, onFile);
    this.root = element('details', { className: 'own' }, element('summary', {}, 'Use a text of your own'), form);
    dropInto(place, onFile);
  }

  /** @param {boolean} is */
  set disabled(is) {
    this.#read.disabled = is;
    this.#file.disabled = is;
  }

  clear() {
    this.#text.value = '';
  }

  focus() {
    /** @type {HTMLElement | null} */ (this.root.querySelector('summary'))?.focus();
  }
}

/** @param {HTMLElement} place @param {(file: File) => void} onFile */
function dropInto(place, onFile) {
  const hasFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  place.addEventListener('dragover', (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    place.classList.add('dropping');
  });
  for (const name of ['dragleave', 'drop']) place.addEventListener(name, () => place.classList.remove('dropping'));
  place.addEventListener('drop', (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    onFile(file);
  });
}
