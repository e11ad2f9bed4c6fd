/**
 * Prefixes that were read and generated before, for requests that begin with the same tokens: a conversation goes on after its
 * last answer, and conversations share their system prompt. The least recently used ones go first.
 *
 * It owns the prefixes that it is given, and lends them. Those that come from elsewhere, as from a snapshot, are like any other.
 * Those that go are handed on.
 */
import { commonLength } from '../chat/document-prompt.js';

/** @typedef {import('../engine.js').Prefix} Prefix */

export class PrefixCache {
  /** The most recently used is last. @type {Prefix[]} */
  #held = [];

  /**
   * @param {{entries: number, bytes: number}} limits bytes: of all contexts, those that are only continued included
   * @param {(prefix: Prefix) => void} [onLeave] owns the prefix from then on; default: frees it
   */
  constructor({ entries, bytes }, onLeave = (prefix) => prefix.free()) {
    this.limits = { entries, bytes };
    this.onLeave = onLeave;
  }

  get size() {
    return this.#held.length;
  }

  /** Bytes that are held. */
  get bytes() {
    const contexts = new Set();
    for (const prefix of this.#held) {
      for (let context = /** @type {Prefix['context'] | undefined} */ (prefix.context); context; context = context.parent)
        contexts.add(context);
    }
    let bytes = 0;
    for (const context of contexts) bytes += context.bytes;
    return bytes;
  }

  /**
   * The longest prefix of these tokens, the last of which is never part of it: its logits are wanted. A held one may be cut for
   * it. It is lent until the next call of take(), add() or clear(); what continues it by then keeps it alive.
   * @param {number[]} ids
   * @returns {Prefix | undefined}
   */
  take(ids) {
    const { prefix, length } = this.#best(ids);
    if (!prefix) return undefined;
    if (length < prefix.length) prefix.truncate(length);
    this.#touch(prefix);
    return prefix;
  }

  /** Tokens of the prefix that take() would lend. @param {number[]} ids */
  longest(ids) {
    return this.#best(ids).length;
  }

  /** @param {number[]} ids */
  #best(ids) {
    /** @type {{prefix?: Prefix, length: number}} */
    let best = { length: 0 };
    for (const prefix of this.#held) {
      const length = usable(prefix, ids, ids.length - 1, !prefix.context.shared);
      if (length > best.length || (length === best.length && length === prefix.length)) best = { prefix, length };
    }
    return best;
  }

  /** @param {Prefix} prefix */
  add(prefix) {
    const same = this.#held.find((held) => held.length === prefix.length && commonLength(held.ids, prefix.ids) === prefix.length);
    if (same) {
      prefix.free();
      this.#touch(same);
      return;
    }
    this.#held.push(prefix);
    while (this.#held.length > this.limits.entries || (this.#held.length > 0 && this.bytes > this.limits.bytes))
      this.onLeave(/** @type {Prefix} */ (this.#held.shift()));
  }

  clear() {
    for (const prefix of this.#held.splice(0)) this.onLeave(prefix);
  }

  /** @param {Prefix} prefix */
  #touch(prefix) {
    this.#held.splice(this.#held.indexOf(prefix), 1);
    this.#held.push(prefix);
  }
}

/**
 * Tokens of a prefix that a prompt can continue. A cut is exact, for a cache that was cut equals one that never was longer; but
 * what is cut off is lost to the conversation it came from, so that the greater part has to stay. What another context
 * continues cannot be cut.
 * @param {{ids: ArrayLike<number>, length: number, inherited: number}} prefix
 * @param {ArrayLike<number>} ids
 * @param {number} most of them
 * @param {boolean} [mayCut]
 */
export function usable(prefix, ids, most, mayCut = true) {
  const common = Math.min(commonLength(prefix.ids, ids), most);
  const cut = prefix.length - common;
  return cut === 0 || (cut < common && common >= prefix.inherited && mayCut) ? common : 0;
}
