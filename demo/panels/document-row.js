/** A document in a list: its name, what is to be known of it, and what can be done with it. */
import { element } from '../element.js';
import { setText } from '../view/dom.js';

/**
 * @typedef {object} Look
 * @property {string} about
 * @property {string} state
 * @property {string} action what the button does
 * @property {boolean} isOpen
 * @property {boolean} isDisabled
 */

export class DocumentRow {
  #about = element('span', { className: 'hint' });
  #state = element('span', { className: 'state' });
  #buttons;

  /**
   * @param {string} title
   * @param {() => void} open
   * @param {() => void} [remove]
   */
  constructor(title, open, remove) {
    this.title = title;
    this.open = element('button', { type: 'button', onclick: open });
    this.#buttons = [this.open];
    if (remove) this.#buttons.push(element('button', { type: 'button', className: 'quiet', textContent: 'Delete', onclick: remove }));
    this.root = element(
      'li',
      {},
      element('strong', {}, title),
      this.#about,
      this.#state,
      element('span', { className: 'actions' }, ...this.#buttons),
    );
    this.#buttons[1]?.setAttribute('aria-label', `Delete ${title}`);
  }

  /** @param {Look} look */
  show({ about, state, action, isOpen, isDisabled }) {
    setText(this.#about, about);
    setText(this.#state, isOpen ? `open now; ${state}` : state);
    setText(this.open, action);
    this.open.setAttribute('aria-label', `${action}: ${this.title}`);
    if (isOpen) this.root.setAttribute('aria-current', 'true');
    else this.root.removeAttribute('aria-current');
    for (const button of this.#buttons) button.disabled = isDisabled;
  }
}
