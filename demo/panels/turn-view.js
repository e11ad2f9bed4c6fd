/** A question and its answer. */
import { element } from '../element.js';

export class TurnView {
  #answer = element('p', { className: 'answer' });
  #figures = element('p', { className: 'figures' });
  /** Not shown yet: at most once a frame is the page laid out anew. */
  #pending = '';
  #frame = 0;

  /** @param {string} question @param {string} note */
  constructor(question, note) {
    this.root = element('li', {}, element('p', { className: 'question' }, question), this.#answer, this.#figures);
    if (note) this.#answer.before(element('p', { className: 'hint' }, note));
  }

  /** @param {string} text */
  add(text) {
    this.#pending += text;
    this.#frame ||= requestAnimationFrame(() => this.#flush());
  }

  /** @param {string} figures */
  end(figures) {
    cancelAnimationFrame(this.#frame);
    this.#flush();
    this.#figures.textContent = figures;
  }

  #flush() {
    this.#frame = 0;
    this.#answer.append(this.#pending);
    this.#pending = '';
  }
}
