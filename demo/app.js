/**
 * The state of the page, and the one job that runs at a time. Panels read it, change it by its methods alone, and hear of changes by
 * its events; no panel knows another.
 */
import { explain } from './failures.js';
import { StepLog } from './step-log.js';

/**
 * @typedef {import('../web/page.js').Engine} Engine
 * @typedef {import('../web/page.js').Prefix} Prefix
 * @typedef {import('../web/errors.js').HalfspaceError} HalfspaceError
 * @typedef {import('../web/attention/params.js').AttentionOptions} AttentionOptions
 *
 * @typedef {object} Settings
 * @property {AttentionOptions} attention how answers attend
 * @property {{temperature: number, topP: number, seed: number}} sampler
 * @property {number} maxTokens of an answer
 * @property {string} systemPrompt empty: the model's own
 * @property {'q8' | 'f32'} kv takes effect with the next load
 * @property {number | 'auto'} threads takes effect with the next load
 * @property {number} ctx tokens that document, questions and answers may have together
 *
 * @typedef {object} Model what was loaded
 * @property {string} name
 * @property {string | File} source a URL, or the user's file: to load it again after a crash
 * @property {string} [sha256] of the file, where it is known
 * @property {number} bytes
 * @property {number | 'auto'} threads that were asked for
 *
 * @typedef {object} OpenDocument
 * @property {string} id
 * @property {string} title
 * @property {string} text the part that the context holds
 * @property {string} systemPrompt that it was read under
 * @property {Prefix} prefix the conversation up to the end of the document: ready to be continued by questions
 * @property {{start: number, end: number}} tokens which of the prefix's tokens are the document's
 * @property {string[]} questions that may be asked, as suggestions
 *
 * @typedef {object} Turn
 * @property {string} question
 * @property {string} answer so far
 *
 * @typedef {object} Token one decoded token of an answer
 * @property {string} text
 * @property {number} index in its answer
 * @property {number} position in the context, the prefix's tokens included
 * @property {number} ms since the token before; of the first, since the question was sent: reading it counts
 * @property {'dense' | 'hsr' | 'relu'} mode
 * @property {import('../web/engine.js').Step} [step] what attention did, while someone is watching; the first token has none
 *
 * @typedef {object} Selection what is looked at of an answer
 * @property {number} [layer] undefined: all
 * @property {number} [kvHead] undefined: all
 * @property {number} [token] its index in the answer; undefined: the newest
 *
 * What each event tells in its `detail`.
 * @typedef {object} Events
 * @property {undefined} engine app.engine or app.model is another, or gone
 * @property {undefined} document app.document is another, or gone
 * @property {undefined} settings app.settings has changed
 * @property {undefined} job app.job has begun or ended
 * @property {{label: string, done: number, total: number}} progress of the job
 * @property {Turn} turn a question was asked; app.turns has it as its last
 * @property {Token} token the last turn's answer has grown
 * @property {undefined} selection app.selection has changed
 * @property {Failure | undefined} failure a job has failed; undefined: a new job has begun
 *
 * @typedef {ReturnType<typeof explain> & {retry: () => Promise<void>}} Failure retry: runs the job again
 */

/** @type {Settings} */
const DEFAULTS = {
  attention: { mode: 'hsr', strength: 'fast', farField: true },
  sampler: { temperature: 0, topP: 1, seed: 1 },
  maxTokens: 128,
  systemPrompt: '',
  kv: 'q8',
  threads: 'auto',
  ctx: 8192,
};

export class App {
  #events = new EventTarget();
  /** @type {Engine | undefined} */
  engine;
  /** @type {Model | undefined} */
  model;
  /** @type {OpenDocument | undefined} */
  document;
  /** @type {Turn[]} */
  turns = [];
  /** @type {Settings} */
  settings = structuredClone(DEFAULTS);
  defaults = DEFAULTS;
  /** @type {{name: string, controller: AbortController} | undefined} */
  job;
  /** How many panels want the steps of tokens now: those that do add 1, and take it away when they are hidden. */
  watching = 0;
  /**
   * Opens a document again, as it was or with the settings of now: from a snapshot where there is one that fits, else by reading its
   * text. Within the job that runs, if one does, else as a job of its own. Set by the documents' panel.
   * @type {((document: Pick<OpenDocument, 'id'>) => Promise<void>) | undefined}
   */
  reopen;
  /** What attention did for the last answer's tokens. */
  steps = new StepLog();
  /** @type {Selection} */
  selection = {};

  constructor() {
    this.on('document', () => this.steps.clear());
    this.on('turn', () => {
      this.steps.clear();
      this.select({ token: undefined });
    });
    this.on('token', (token) => {
      if (this.engine) this.steps.add(token, { layers: this.engine.config.nLayers, kvHeads: this.engine.config.nKvHeads });
    });
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   */
  on(name, listener) {
    this.#events.addEventListener(name, (event) => listener(/** @type {CustomEvent<Events[Name]>} */ (event).detail));
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  tell(name, detail) {
    this.#events.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {Partial<Settings>} changed */
  set(changed) {
    Object.assign(this.settings, changed);
    this.tell('settings', undefined);
  }

  /** @param {Selection} changed */
  select(changed) {
    Object.assign(this.selection, changed);
    this.tell('selection', undefined);
  }

  /** @param {Engine} engine @param {Model} model */
  setEngine(engine, model) {
    this.selection = {};
    this.setDocument(undefined);
    this.engine?.close();
    this.engine = engine;
    this.model = model;
    this.tell('engine', undefined);
  }

  /** The worker is gone: nothing of it can be used or freed. */
  loseEngine() {
    this.document = undefined;
    this.turns = [];
    this.engine?.close();
    this.engine = undefined;
    this.tell('engine', undefined);
    this.tell('document', undefined);
  }

  /** @param {OpenDocument | undefined} document */
  setDocument(document) {
    this.document?.prefix.free();
    this.document = document;
    this.turns = [];
    this.tell('document', undefined);
  }

  /**
   * Runs a job, if none runs: buttons that start one are disabled while another runs. One that failed may be run again.
   * @param {string} name shown to the user: 'loading the model'
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(name, work) {
    if (this.job) return;
    const controller = new AbortController();
    this.job = { name, controller };
    this.tell('failure', undefined);
    this.tell('job', undefined);
    try {
      await work(controller.signal);
    } catch (error) {
      this.tell('failure', { ...explain(/** @type {HalfspaceError} */ (error)), retry: () => this.run(name, work) });
    } finally {
      this.job = undefined;
      this.tell('job', undefined);
    }
  }

  /** Ends the running job. */
  stop() {
    this.job?.controller.abort();
  }
}
