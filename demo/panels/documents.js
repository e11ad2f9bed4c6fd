/** Which text is asked about: the shipped ones, which are ready, and the user's own. */
import { HalfspaceError, openOpfsStore } from 'halfspace';

import { element } from '../element.js';
import { Library, MAX_BYTES } from '../library.js';
import { misfit, openDocument, SnapshotProblem } from '../reading.js';
import { ownSource, shippedSource } from '../sources.js';
import { checkText, readTextFile, titleOf } from '../texts.js';
import { passFocus, returnFocus } from '../view/dom.js';
import { count, megabytes } from '../view/format.js';
import { DocumentRow } from './document-row.js';
import { OwnTextForm } from './own-text.js';

/**
 * @typedef {import('../app.js').App} App
 * @typedef {import('../library.js').Own} Own
 * @typedef {import('../reading.js').Readable} Readable
 * @typedef {import('../shipped.js').Listed} Listed
 */

/** While snapshots are being made. */
const POLL_MS = 3000;

/** @param {App} app */
export function mountDocuments(app) {
  const panel = new Documents(app, /** @type {HTMLElement} */ (document.getElementById('documents')));
  void panel.start();
}

class Documents {
  /** @type {Listed[]} */
  #shipped = [];
  #library = new Library(undefined);
  /** By the ids of their documents. @type {Map<string, DocumentRow>} */
  #rows = new Map();
  /** Of the document that was open last. @type {string | undefined} */
  #last;
  /** It, or the first shipped one, is to be opened, once that takes no reading. */
  #isFirst = false;
  #reopening = false;
  #documentTokens = 0;

  #current = element('p', { className: 'current' });
  #shippedList = element('ul', { className: 'texts' });
  #ownTitle = element('h3', { hidden: true }, 'Your texts');
  #ownList = element('ul', { className: 'texts' });
  #notice = element('p', { className: 'notice', role: 'status' });
  #bar = element('progress', { max: 1, 'aria-labelledby': 'document-progress' });
  #barText = element('span', { id: 'document-progress' });
  #cancel;
  #progress;
  #form;

  /** @param {App} app @param {HTMLElement} section */
  constructor(app, section) {
    this.app = app;
    this.#cancel = element('button', { type: 'button', className: 'quiet', onclick: () => app.stop() }, 'Cancel');
    this.#progress = element('div', { className: 'progress', hidden: true }, this.#bar, this.#barText, this.#cancel);
    this.#form = new OwnTextForm(section, {
      onText: (text) => this.#add(async () => (checkText(text), { title: titleOf(text), text })),
      onFile: (file) => this.#add(() => readTextFile(file)),
    });
    section.append(this.#current, this.#progress, this.#notice, this.#shippedList, this.#ownTitle, this.#ownList, this.#form.root);
    app.reopen = (document) => this.#reopen(document.id);
    app.on('engine', () => {
      this.#isFirst = app.engine !== undefined;
      this.#show();
    });
    app.on('document', () => {
      this.#last = app.document?.id ?? this.#last;
      this.#show();
    });
    app.on('settings', () => this.#show());
    app.on('job', () => {
      this.#show();
      // Whoever ended the job may go on at once, with reopen().
      setTimeout(() => this.#openFirst());
    });
    this.#show();
  }

  async start() {
    try {
      this.#library = new Library(await openOpfsStore({ folder: 'halfspace-documents', maxBytes: MAX_BYTES }));
      await this.#library.load();
    } catch (error) {
      this.#say(`Your own texts are not kept in this browser: ${/** @type {Error} */ (error).message}`);
    }
    this.#show();
    await this.#poll();
  }

  async #poll() {
    try {
      if (document.visibilityState === 'visible') {
        const response = await fetch('./documents.json', { cache: 'no-store' });
        if (!response.ok) throw new Error(`documents.json: ${response.status}`);
        this.#shipped = await response.json();
      }
    } catch (error) {
      if (this.#shipped.length === 0) this.#say(`The shipped texts cannot be listed: ${/** @type {Error} */ (error).message}`);
    }
    this.#show();
    this.#openFirst();
    if (this.#shipped.some(({ preparing }) => preparing !== undefined)) setTimeout(() => this.#poll(), POLL_MS);
  }

  /** One click less to the first question. A document that was open before another engine was loaded is opened again. */
  #openFirst() {
    if (!this.#isFirst || this.app.job || this.app.document || this.#reopening) return;
    const source = this.#sourceOf(this.#last ?? this.#shipped[0]?.id);
    if (!source?.made) return;
    this.#isFirst = false;
    if (misfit(this.app, source.made) === '') void this.#open(source);
  }

  /** @param {string | undefined} id @returns {Readable | undefined} */
  #sourceOf(id) {
    const shipped = this.#shipped.find((one) => one.id === id);
    if (shipped) return shippedSource(shipped);
    const own = id && this.#library.get(id);
    return own ? ownSource(own, this.#library) : undefined;
  }

  /**
   * As a job.
   * @param {Readable} source
   * @param {boolean} [anew] without its snapshot
   */
  async #open(source, anew = false) {
    const focused = document.activeElement;
    await this.app.run(`opening ${source.title}`, (signal) => this.#work(source, signal, anew));
    returnFocus(this.#cancel, focused);
  }

  /** @param {string} id */
  async #reopen(id) {
    const source = this.#sourceOf(id);
    if (!source) throw new HalfspaceError('not-found', 'The document is no longer there.', { field: 'document', value: id });
    this.#reopening = true;
    try {
      if (this.app.job) await this.#work(source, this.app.job.controller.signal);
      else await this.#open(source);
    } finally {
      this.#reopening = false;
    }
  }

  /**
   * @param {Readable} source
   * @param {AbortSignal} signal
   * @param {boolean} [anew]
   */
  async #work(source, signal, anew = false) {
    const { title } = source;
    this.#say('');
    this.#begin();
    const began = performance.now();
    try {
      const { made, resumed, documentTokens } = await openDocument(this.app, source, signal, {
        anew,
        onBytes: (done, total) => this.#tell(`Opening “${title}”: ${megabytes(done)} of ${megabytes(total)}`, done, total),
        onTokens: (done, total) => {
          const rate = (1000 * done) / (performance.now() - began);
          this.#tell(`Reading “${title}”: ${count(done)} of ${count(total)} tokens, ${count(rate)} a second`, done, total);
        },
      });
      this.#documentTokens = documentTokens;
      const own = this.#library.get(source.id);
      if (own && !resumed && this.#library.store) await this.#keep(own, made, signal);
    } catch (error) {
      this.#explain(source, error);
    } finally {
      this.#progress.hidden = true;
      this.#show();
    }
  }

  /** @param {Own} own @param {import('../library.js').Made} made @param {AbortSignal} signal */
  async #keep(own, made, signal) {
    this.#tell(`Saving “${own.title}”`, 1, 1);
    const prefix = /** @type {import('../app.js').OpenDocument} */ (this.app.document).prefix;
    try {
      await this.#library.keep(own, prefix.snapshot({ signal }), made, signal);
    } catch (error) {
      this.#say(`It is open, but not saved: the next visit has to read it again. ${words(error)}`);
    }
  }

  /** @param {Readable} source @param {unknown} error */
  #explain(source, error) {
    if (error instanceof SnapshotProblem) {
      const why = error.code === 'bad-chunk' || error.code === 'bad-file' ? 'is damaged' : 'cannot be used';
      this.#say(`The ready copy of “${source.title}” ${why}: ${error.message}. The text itself can be read instead.`, {
        label: 'Read the text',
        act: () => this.#open(source, true),
      });
    } else if (error instanceof HalfspaceError && error.code === 'aborted') {
      this.#say(`Stopped. Nothing is lost: “${source.title}” stays in the list.`);
    } else throw error;
  }

  /**
   * Takes a text of the user's, and reads it.
   * @param {() => Promise<{title: string, text: string}>} read
   */
  async #add(read) {
    if (this.app.job) return this.#say('One thing at a time: something else runs.');
    let added;
    try {
      const { title, text } = await read();
      added = await this.#library.add(title, text);
    } catch (error) {
      return this.#say(words(error));
    }
    const { own, unsaved } = added;
    this.#form.clear();
    this.#show();
    if (this.app.engine) await this.#open(ownSource(own, this.#library));
    else this.#say(`“${own.title}” is in the list: load the model, then read it.`);
    if (unsaved) this.#say(`“${own.title}” stays here until the page is left; it is not saved. ${words(unsaved)}`);
  }

  /** @param {Own} own */
  async #delete(own) {
    try {
      await this.#library.delete(own);
      this.#rows.delete(own.id);
      this.#say(`“${own.title}” is deleted.`);
    } catch (error) {
      this.#say(words(error));
    }
    this.#show();
    this.#form.focus();
  }

  #begin() {
    this.#progress.hidden = false;
    this.#bar.removeAttribute('value');
    this.#barText.textContent = '';
    passFocus(this.#cancel);
  }

  /** @param {string} label @param {number} done @param {number} total */
  #tell(label, done, total) {
    this.#bar.value = done / total;
    this.#barText.textContent = label;
    this.app.tell('progress', { label, done, total });
  }

  /** @param {string} text @param {{label: string, act: () => void}} [action] */
  #say(text, action) {
    this.#notice.replaceChildren(text);
    if (action) this.#notice.append(' ', element('button', { type: 'button', onclick: action.act }, action.label));
  }

  #show() {
    const { app } = this;
    const shipped = this.#shipped.map((one) => this.#showShipped(one));
    const own = this.#library.list.map((one) => this.#showOwn(one));
    arrange(this.#shippedList, shipped);
    arrange(this.#ownList, own);
    this.#ownTitle.hidden = own.length === 0;
    this.#current.textContent = this.#currentWords();
    this.#form.disabled = app.job !== undefined;
  }

  #currentWords() {
    const { app } = this;
    if (!app.engine) return 'Load the model first; then pick a text.';
    if (!app.document) return 'Pick a text to ask about. The model reads it once; every question goes on from there.';
    const { title, tokens } = app.document;
    const read = tokens.end - tokens.start;
    const part =
      read < this.#documentTokens
        ? `its beginning, ${count(read)} of ${count(this.#documentTokens)} tokens (${count((100 * read) / this.#documentTokens)} %): more does not fit`
        : `all of it, ${count(read)} tokens`;
    return `Open: “${title}”, ${part}. A token is about ¾ of a word.`;
  }

  /** @param {Listed} shipped */
  #showShipped({ id, title, about, snapshot, preparing, failed }) {
    const row = this.#row(id, title);
    const made = this.#sourceOf(id)?.made;
    const why = made && this.app.engine ? misfit(this.app, made) : '';
    let state = 'not read yet';
    if (snapshot) state = why ? `has to be read anew: ${why}` : `read already, ${megabytes(snapshot.bytes)}`;
    else if (preparing !== undefined) state = `being read for you on the server: ${count(100 * preparing)} %`;
    else if (failed) state = `no ready copy: ${failed}`;
    row.show({ ...this.#look(id, about, state), action: snapshot && !why ? 'Open' : 'Read it here' });
    return row;
  }

  /** @param {Own} own */
  #showOwn(own) {
    const row = this.#row(own.id, own.title, () => void this.#delete(own));
    const why = own.made && this.app.engine ? misfit(this.app, own.made) : '';
    let state = own.made ? `read already, ${megabytes(own.bytes)}` : 'not read yet';
    if (why) state = `has to be read anew: ${why}`;
    if (own.bytes === 0) state = 'not saved';
    const date = new Date(own.created).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
    row.show({
      ...this.#look(own.id, `${date}, ${count(own.text.length)} characters`, state),
      action: own.made && !why ? 'Open' : 'Read it',
    });
    return row;
  }

  /** @param {string} id @param {string} about @param {string} state */
  #look(id, about, state) {
    const { document, engine, job } = this.app;
    return { about, state, isOpen: document?.id === id, isDisabled: !engine || job !== undefined };
  }

  /** @param {string} id @param {string} title @param {() => void} [remove] */
  #row(id, title, remove) {
    const open = () => {
      const source = this.#sourceOf(id);
      if (source) void this.#open(source);
    };
    const row = this.#rows.get(id) ?? new DocumentRow(title, open, remove);
    this.#rows.set(id, row);
    return row;
  }
}

/** Rows stay where they are: one may have the focus. @param {HTMLElement} list @param {DocumentRow[]} rows */
function arrange(list, rows) {
  const wanted = rows.map(({ root }) => root);
  for (const child of [...list.children]) if (!wanted.includes(/** @type {HTMLLIElement} */ (child))) child.remove();
  wanted.forEach((root, i) => {
    if (list.children[i] !== root) list.insertBefore(root, list.children[i] ?? null);
  });
}

/** @param {unknown} error */
function words(error) {
  const { code, field, value, limit, message } = /** @type {HalfspaceError} */ (error);
  if (code !== 'quota') return message;
  const use = field === 'storage' ? ` (it has ${megabytes(Number(value))} of ${megabytes(Number(limit))})` : '';
  return `The browser has no room left for this page${use}: delete something.`;
}
