/**
 * The user's own documents, in a store: of each its text, and a snapshot once it was read. What the store does not take stays in
 * memory as long as the page.
 */
import { HalfspaceError } from 'halfspace';

import { checkText } from './texts.js';

export const MAX_DOCUMENTS = 100;
/** All together. Those that were not used for longest go first. */
export const MAX_BYTES = 2e9;

/**
 * @typedef {import('../web/stores/store.js').Store} Store
 *
 * @typedef {object} Made what a snapshot was made of
 * @property {string} [fingerprint] of the model
 * @property {'q8' | 'f32'} kv
 * @property {string} system prompt
 * @property {number} ctx that the text was cut for
 * @property {number} [limit] most tokens of the document
 * @property {number} tokens
 *
 * @typedef {object} Own
 * @property {string} id
 * @property {string} title
 * @property {string} text
 * @property {number} created milliseconds since 1970
 * @property {Made} [made] of its snapshot
 * @property {number} bytes in the store; 0: it is in memory alone
 */

const RECORD = /^(own-[0-9a-f-]{36})\.json$/;
const recordOf = (/** @type {string} */ id) => `${id}.json`;
const snapshotOf = (/** @type {string} */ id) => `${id}.snapshot`;

export class Library {
  /** @type {Map<string, Own>} */
  #own = new Map();

  /** @param {Store | undefined} store undefined: nothing can be kept here */
  constructor(store) {
    this.store = store;
  }

  /** The newest first. */
  get list() {
    return [...this.#own.values()].sort((a, b) => b.created - a.created);
  }

  /** @param {string} id */
  get(id) {
    return this.#own.get(id);
  }

  /** Learns what the store has. Snapshots whose text is gone go, too. */
  async load() {
    if (!this.store) return;
    const sizes = new Map((await this.store.list()).map(({ name, bytes }) => [name, bytes]));
    for (const [name, bytes] of sizes) {
      const id = RECORD.exec(name)?.[1];
      if (id === undefined) {
        if (!sizes.has(name.replace(/snapshot$/, 'json'))) await this.store.delete(name);
        continue;
      }
      const { title, text, created, made } = await this.#read(name);
      const snapshot = sizes.get(snapshotOf(id));
      this.#own.set(id, { id, title, text, created, made: snapshot === undefined ? undefined : made, bytes: bytes + (snapshot ?? 0) });
    }
  }

  /**
   * @param {string} title
   * @param {string} text
   * @returns {Promise<{own: Own, unsaved?: HalfspaceError}>} unsaved: why it is in memory alone
   * @throws {HalfspaceError} bad-argument: no text, too long, or too many
   */
  async add(title, text) {
    checkText(text);
    if (this.#own.size >= MAX_DOCUMENTS)
      throw new HalfspaceError('bad-argument', `There are ${MAX_DOCUMENTS} documents: delete one first.`, {
        field: 'documents',
        value: this.#own.size + 1,
        limit: MAX_DOCUMENTS,
      });
    /** @type {Own} */
    const own = { id: `own-${crypto.randomUUID()}`, title, text, created: Date.now(), bytes: 0 };
    this.#own.set(own.id, own);
    try {
      own.bytes = await this.#write(own);
      return { own };
    } catch (error) {
      return { own, unsaved: /** @type {HalfspaceError} */ (error) };
    }
  }

  /**
   * Keeps a document's snapshot, so that it is not read again.
   * @param {Own} own
   * @param {ReadableStream<Uint8Array>} snapshot
   * @param {Made} made
   * @param {AbortSignal} [signal]
   * @throws {HalfspaceError} quota, io, aborted: what was there before stays
   */
  async keep(own, snapshot, made, signal) {
    const { bytes } = await this.#store().put(snapshotOf(own.id), snapshot, { signal });
    own.made = made;
    own.bytes = bytes + (await this.#write(own));
  }

  /** Its snapshot, to be resumed. @param {Own} own */
  async open(own) {
    // Used together, they are evicted together.
    await (await this.#store().open(recordOf(own.id))).close();
    return this.#store().open(snapshotOf(own.id));
  }

  /** @param {Own} own */
  async delete(own) {
    this.#own.delete(own.id);
    for (const name of [snapshotOf(own.id), recordOf(own.id)]) await this.store?.delete(name);
  }

  /** @returns {Store} */
  #store() {
    if (!this.store)
      throw new HalfspaceError('unsupported', 'this page cannot keep anything: it is not private storage', { field: 'store' });
    return this.store;
  }

  /** @param {string} name */
  async #read(name) {
    const source = await this.#store().open(name);
    try {
      return JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
    } finally {
      await source.close();
    }
  }

  /** @param {Own} own @returns {Promise<number>} bytes */
  async #write({ id, title, text, created, made }) {
    const record = new TextEncoder().encode(JSON.stringify({ title, text, created, made }));
    return (await this.#store().put(recordOf(id), [record])).bytes;
  }
}
