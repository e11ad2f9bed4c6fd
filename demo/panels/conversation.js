/** Questions about the open document, and their answers. */
import { commonLength, HalfspaceError } from 'halfspace';

import { element } from '../element.js';
import { turnPrompt } from '../prompt.js';
import { passFocus, returnFocus } from '../view/dom.js';
import { figures } from './figures.js';
import { TurnView } from './turn-view.js';

/**
 * @typedef {import('../app.js').App} App
 * @typedef {import('../app.js').Prefix} Prefix
 * @typedef {import('../app.js').Turn} Turn
 */

const JOB = 'answering';
const MAX_QUESTION = 2000;

/** @param {App} app */
export function mountConversation(app) {
  return new Conversation(app, /** @type {HTMLElement} */ (document.getElementById('conversation')));
}

class Conversation {
  /** What the last turn left behind: it continues the document's prefix, and the next turn continues it. @type {Prefix | undefined} */
  #held;
  /** Of the open document, or of the one that was open when the engine was lost. @type {{id: string, turns: Turn[]} | undefined} */
  #asked;
  #wasLost = false;
  /** The text's system prompt is not the one that is set. */
  #stale = element('p', { className: 'notice', hidden: true });
  #hint = element('p', { className: 'hint' });
  #suggestions = element('div', { className: 'actions suggestions', role: 'group', 'aria-label': 'Suggested questions' });
  #turns = element('ol', { className: 'turns', 'aria-label': 'Questions and answers' });
  #question = element('input', { id: 'question', type: 'text', maxLength: MAX_QUESTION, required: true, autocomplete: 'off' });
  #ask = element('button', { type: 'submit' }, 'Ask');
  #stop;
  #error = element('p', { className: 'notice', role: 'alert' });
  #status = element('p', { className: 'visually-hidden', role: 'status' });

  /** @param {App} app @param {HTMLElement} section */
  constructor(app, section) {
    this.app = app;
    this.#stop = element('button', { type: 'button', className: 'quiet', hidden: true, onclick: () => app.stop() }, 'Stop');
    this.#stale.append(
      'The system prompt has changed since the text was read: until it is read anew, answers go by the old one. ',
      element('button', { type: 'button', onclick: () => this.#readAnew() }, 'Read it anew'),
    );
    const form = element(
      'form',
      {},
      element('label', { htmlFor: 'question' }, 'Your question'),
      this.#question,
      element('div', { className: 'actions' }, this.#ask, this.#stop),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#answer(this.#question.value.trim());
    });
    section.append(this.#stale, this.#hint, this.#turns, this.#suggestions, form, this.#error, this.#status);
    app.on('document', () => this.#begin());
    for (const name of /** @type {const} */ (['job', 'settings', 'engine'])) app.on(name, () => this.#show());
    this.#show();
  }

  /** Of another document; or of the same one, once an engine that was lost is there again. */
  #begin() {
    const { document, engine, turns } = this.app;
    this.#held?.free();
    this.#held = undefined;
    const isLost = !document && !engine;
    if (!isLost) {
      if (document && document.id === this.#asked?.id && this.#wasLost) turns.push(...this.#asked.turns);
      else this.#turns.replaceChildren();
      this.#asked = document && { id: document.id, turns };
      this.#error.textContent = '';
      this.#status.textContent = '';
    }
    this.#wasLost = isLost;
    const questions = document?.questions ?? [];
    this.#suggestions.replaceChildren(
      ...questions.map((text) => element('button', { type: 'button', className: 'quiet', onclick: () => this.#answer(text) }, text)),
    );
    this.#show();
  }

  #show() {
    const { document, job, settings } = this.app;
    const isBusy = job !== undefined || document === undefined;
    this.#stale.hidden = document === undefined || document.systemPrompt === settings.systemPrompt;
    this.#hint.textContent = document
      ? 'Answers come from a small model: it is quick, and often wrong.'
      : 'Open a text first: then questions about it can be asked here.';
    this.#ask.disabled = isBusy;
    for (const button of [...this.#suggestions.children, ...this.#stale.children])
      /** @type {HTMLButtonElement} */ (button).disabled = isBusy;
    this.#stop.hidden = job?.name !== JOB;
  }

  async #readAnew() {
    const { app } = this;
    if (app.document) await app.reopen?.(app.document);
    this.#question.focus();
  }

  /** @param {string} question */
  async #answer(question) {
    if (question === '' || this.app.job) return;
    const focused = document.activeElement;
    await this.app.run(JOB, (signal) => this.#generate(question, signal));
    returnFocus(this.#stop, focused);
  }

  /** @param {string} question @param {AbortSignal} signal */
  async #generate(question, signal) {
    const { engine, document, settings, turns } = this.app;
    if (!engine || !document) return;
    passFocus(this.#stop);
    this.#error.textContent = '';
    const { ctx, maxTokens } = settings;
    const { text, systemPrompt: system } = document;
    const { ids, forgotten } = await turnPrompt(engine, { text, system }, turns, question, { ctx, maxTokens });
    if (ids.length >= ctx) {
      this.#error.textContent = `The question is too long: with the text it has ${ids.length} tokens, and the context ends at ${ctx}.`;
      return;
    }
    /** @type {Turn} */
    const turn = { question, answer: '' };
    turns.push(turn);
    this.app.tell('turn', turn);
    const view = new TurnView(question, forgotten > 0 ? 'The earliest questions no longer fit and are forgotten.' : '');
    this.#turns.append(view.root);
    this.#question.value = '';
    this.#status.textContent = 'Answering.';
    try {
      await this.#decode(turn, view, ids, signal);
      this.#status.textContent = `Answer: ${turn.answer}`;
    } catch (error) {
      const isStopped = error instanceof HalfspaceError && error.code === 'aborted';
      const end = isStopped ? 'Stopped.' : 'Broken off.';
      view.end(end);
      this.#status.textContent = end;
      if (!isStopped) throw error;
    }
  }

  /** @param {Turn} turn @param {TurnView} view @param {number[]} ids @param {AbortSignal} signal */
  async #decode(turn, view, ids, signal) {
    const { app } = this;
    const { attention, sampler, maxTokens, ctx } = app.settings;
    const engine = /** @type {import('../app.js').Engine} */ (app.engine);
    const prefix = await this.#longest(ids);
    /** @type {import('../../web/engine.js').GenerateStats | undefined} */
    let stats;
    let last = performance.now();
    const pieces = engine.generate(ids.slice(prefix?.length ?? 0), {
      ...{ prefix, ctx, maxTokens, attention, sampler, signal },
      watch: app.watching > 0,
      onPrefill: (done, total) => app.tell('progress', { label: 'Reading the question', done, total }),
      onStats: (given) => (stats = given),
      onPrefix: (given) => this.#hold(given),
    });
    for await (const { text, index, step } of pieces) {
      turn.answer += text;
      view.add(text);
      const now = performance.now();
      app.tell('token', { text, index, position: ids.length + index, ms: now - last, mode: attention.mode ?? 'hsr', step });
      last = now;
    }
    if (stats) view.end(figures(stats, attention));
  }

  /**
   * The longest prefix of these tokens that is there. The last token is never part of it: its logits are wanted.
   * @param {number[]} ids
   * @returns {Promise<Prefix | undefined>} undefined: none, all is to be read
   */
  async #longest(ids) {
    const shared = (/** @type {Prefix} */ prefix) => Math.min(commonLength(prefix.ids, ids), ids.length - 1);
    const held = this.#held;
    if (held && shared(held) >= held.inherited) {
      if (shared(held) < held.length) await held.truncate(shared(held));
      return held;
    }
    const whole = this.app.document?.prefix;
    return whole && shared(whole) === whole.length ? whole : undefined;
  }

  /** @param {Prefix} prefix continues the one that was held, which stays as long as it does */
  #hold(prefix) {
    this.#held?.free();
    this.#held = prefix;
  }
}
