/** A question and its answer. */
import { element } from '../element.js';
import { perFrame } from '../view/dom.js';

export class TurnView {
  #answer = element('p', { className: 'answer' });
  #figures = element('p', { className: 'figures' });
  /** Not shown yet: at most once a frame is the page laid out anew. */
  #pending = '';
  #draw = perFrame(() => this.#flush());

  /** @param {string} question @param {string} note */
  constructor(question, note) {
    this.root = element('li', {}, element('p', { className: 'question' }, question), this.#answer, this.#figures);
    if (note) this.#answer.before(element('p', { className: 'hint' }, note));
  }

  /** @param {string} text */
  add(text) {
    this.#pending += text;
    this.#draw();
  }

  /** @param {string} figures */
  end(figures) {
    this.#flush();
    this.#figures.textContent = figures;
  }

  #flush() {
    if (this.#pending !== '') this.#answer.append(this.#pending);
    this.#pending = '';
  }
}
