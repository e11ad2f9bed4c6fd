/**
 * Prefixes that left memory, as snapshots in a store: a request that begins like one resumes it, also after a restart. Which
 * tokens each has is known without reading it. Nothing that fails here fails a request.
 */
import { randomUUID } from 'node:crypto';

import { badArgument, HalfspaceError } from '../errors.js';
import { checkFit, inheritedOf } from '../generation/context-snapshot.js';
import { START_BYTES } from '../snapshot/format.js';
import { readTokens } from '../snapshot/resume.js';
import { usable } from './prefix-cache.js';

/** Fewer tokens are read as fast as they are resumed: shorter prefixes are not saved, and no saved one is resumed to save less. */
const LEAST_TOKENS = 64;
const NAME = /^prefix-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What is wrong with a file that is of no use to anyone. @type {unknown[]} */
const DAMAGED = ['bad-chunk', 'bad-file'];
/** What is not the snapshot's fault. @type {unknown[]} */
const NOT_ITS_FAULT = ['aborted', 'closed', 'out-of-memory'];

/**
 * @typedef {import('../engine.js').Prefix} Prefix
 * @typedef {{ids: Int32Array, length: number, inherited: number, bytes: number}} Saved inherited: by what is resumed of it
 */

export class SavedPrefixes {
  /** By the names in the store. @type {Map<string, Saved>} */
  #saved = new Map();
  /** To be saved. @type {Prefix[]} */
  #leaving = [];

  /**
   * @param {import('../engine.js').Engine} engine
   * @param {import('../stores/store.js').Store} store for nothing else: what was not used for longest is deleted to make room
   * @param {(message: string) => void} [warn] one line
   */
  constructor(engine, store, warn = () => {}) {
    this.engine = engine;
    this.store = store;
    this.warn = warn;
  }

  get size() {
    return this.#saved.size;
  }

  /** Bytes in the store of those that fit the engine. */
  get bytes() {
    return [...this.#saved.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Learns what is there, of which snapshots of other models and settings are passed over.
   * @throws {HalfspaceError} bad-argument: the store holds something else
   */
  async load() {
    const entries = await this.store.list();
    // To open one is to use it: the order of use stays what it was.
    for (const { name, bytes } of entries.sort((a, b) => a.used - b.used)) {
      try {
        const { header, tokens } = await readTokens(this.engine.wasm, await this.store.open(name));
        if (header.base === null && this.#fits(header)) this.#note(name, bytes, header, tokens);
      } catch (error) {
        const isOther = bytes < START_BYTES || /** @type {HalfspaceError} */ (error).field === 'magic';
        if (isOther && !NAME.test(name)) throw badArgument('snapshots', `must hold nothing but snapshots, not ${name}`, name, 'snapshots');
        await this.#forget(name, error);
      }
    }
  }

  /**
   * Takes over a prefix, to be saved by flush() where it is worth it.
   * @param {Prefix} prefix
   */
  add(prefix) {
    if (prefix.length < LEAST_TOKENS) prefix.free();
    else this.#leaving.push(prefix);
  }

  /** Saves what was added, and frees it. Nothing is generated meanwhile. */
  async flush() {
    const leaving = this.#leaving.splice(0);
    const chosen = this.#choose(leaving);
    for (const prefix of leaving) {
      try {
        if (chosen.has(prefix)) await this.#save(prefix);
      } catch (error) {
        this.warn(`a prefix of ${prefix.length} tokens is not saved: ${/** @type {Error} */ (error).message}`);
      } finally {
        prefix.free();
      }
    }
  }

  /**
   * The saved prefix that has most of these tokens, cut to them; the last one is never part of it, as in PrefixCache.take().
   * @param {number[]} ids
   * @param {number} held tokens of them for which nothing needs to be resumed
   * @param {AbortSignal} [signal]
   * @returns {Promise<Prefix | undefined>} the caller's; undefined: none that has enough more than `held`
   * @throws {HalfspaceError} aborted, closed, out-of-memory
   */
  async resume(ids, held, signal) {
    for (let best; (best = this.#best(ids, held + LEAST_TOKENS));) {
      const { name, length } = best;
      try {
        const prefix = await this.engine.resume(await this.store.open(name), { signal });
        if (usable(prefix, ids, ids.length - 1) === length) {
          if (length < prefix.length) prefix.truncate(length);
          return prefix;
        }
        prefix.free();
        await this.#forget(name, badArgument('tokens', 'are others by now', name, length));
      } catch (error) {
        if (!(error instanceof HalfspaceError) || NOT_ITS_FAULT.includes(error.code)) throw error;
        await this.#forget(name, error);
      }
    }
    return undefined;
  }

  /** @param {number[]} ids @param {number} least */
  #best(ids, least) {
    /** @type {{name: string, length: number} | undefined} */
    let best;
    for (const [name, saved] of this.#saved) {
      const length = usable(saved, ids, ids.length - 1);
      if (length >= (best ? best.length + 1 : least)) best = { name, length };
    }
    return best;
  }

  /** Those that nothing else that is saved can be cut to. @param {Prefix[]} prefixes */
  #choose(prefixes) {
    /** @type {Set<Prefix>} */
    const chosen = new Set();
    for (const prefix of prefixes.toSorted((a, b) => b.length - a.length)) {
      const { ids, length } = prefix;
      if (![...this.#saved.values(), ...chosen].some((other) => usable(other, ids, length) === length)) chosen.add(prefix);
    }
    return chosen;
  }

  /** @param {Prefix} prefix */
  async #save(prefix) {
    const name = `prefix-${randomUUID()}`;
    /** @type {import('../snapshot/format.js').Header | undefined} */
    let header;
    const { bytes } = await this.store.put(name, prefix.snapshot({ onInfo: (info) => ({ header } = info) }));
    this.#note(name, bytes, /** @type {import('../snapshot/format.js').Header} */ (header), prefix.ids);
    const there = new Set((await this.store.list()).map((entry) => entry.name));
    for (const one of this.#saved.keys()) if (!there.has(one)) this.#saved.delete(one);
  }

  /** @param {string} name @param {number} bytes @param {import('../snapshot/format.js').Header} header @param {number[]} tokens */
  #note(name, bytes, header, tokens) {
    this.#saved.set(name, { ids: Int32Array.from(tokens), length: tokens.length, inherited: inheritedOf(header), bytes });
  }

  /** @param {import('../snapshot/format.js').Header} header */
  #fits(header) {
    if (header.kind !== 'context' || header.tokens > this.engine.ctx) return false;
    try {
      checkFit(header, this.engine.config, this.engine.kv);
      return true;
    } catch (error) {
      if (error instanceof HalfspaceError && error.code === 'bad-argument') return false;
      throw error;
    }
  }

  /**
   * Does without a snapshot, which another process may have deleted.
   * @param {string} name
   * @param {unknown} error why
   */
  async #forget(name, error) {
    this.#saved.delete(name);
    const { code, message } = /** @type {HalfspaceError} */ (error);
    if (code === 'not-found') return;
    const isDamaged = DAMAGED.includes(code);
    this.warn(`${name} is ${isDamaged ? 'damaged, and deleted' : 'not used'}: ${message}`);
    if (isDamaged)
      await this.store.delete(name).catch((/** @type {Error} */ cause) => this.warn(`${name} is not deleted: ${cause.message}`));
  }
}
