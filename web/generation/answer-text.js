/** The text of a generation as it may be shown: whole characters, and nothing that could turn out to be a stop string. */
import { badArgument } from '../errors.js';

/** Limits of `stop`: strings, and UTF-16 units of each. */
const STOP_LIMITS = { strings: 16, length: 256 };

/**
 * @param {unknown} stop
 * @returns {asserts stop is string[]}
 */
export function checkStop(stop) {
  const { strings, length } = STOP_LIMITS;
  if (!Array.isArray(stop) || stop.length > strings)
    throw badArgument('stop', `must be a list of at most ${strings} strings`, Array.isArray(stop) ? stop.length : stop, strings);
  for (const [i, text] of stop.entries()) {
    if (typeof text !== 'string' || text.length === 0 || text.length > length || /[\ud800-\udfff]/u.test(text))
      throw badArgument(`stop[${i}]`, `must be well-formed text of 1 to ${length} UTF-16 units`, text?.length ?? text, length);
  }
}

export class AnswerText {
  #held = '';
  #decoder;
  #stop;
  /** A stop string was met: nothing more comes. */
  stopped = false;

  /** @param {import('../tokenizer/tokenizer.js').TextStream} decoder @param {string[]} stop */
  constructor(decoder, stop) {
    this.#decoder = decoder;
    this.#stop = stop;
  }

  /** Text that the token completes and that may be shown. @param {number} id */
  push(id) {
    return this.#release(this.#decoder.push(id));
  }

  /** What was held back, when no token follows. */
  end() {
    const text = this.#release(this.#decoder.flush()) + this.#held;
    this.#held = '';
    return text;
  }

  /** @param {string} text */
  #release(text) {
    if (this.stopped) return '';
    this.#held += text;
    const match = this.#firstStop();
    this.stopped = match !== undefined;
    const shown = this.#held.slice(0, match ?? this.#held.length - this.#beginning());
    this.#held = this.stopped ? '' : this.#held.slice(shown.length);
    return shown;
  }

  /**
   * Where the stop string starts that ends first, and the longest of those: what is found if characters come one by one, so
   * that it does not depend on how the text was cut into tokens.
   */
  #firstStop() {
    /** @type {{start: number, end: number} | undefined} */
    let first;
    for (const stop of this.#stop) {
      const start = this.#held.indexOf(stop);
      const end = start + stop.length;
      if (start >= 0 && (!first || end < first.end || (end === first.end && start < first.start))) first = { start, end };
    }
    return first?.start;
  }

  /** Length of the longest end of the held text with which a stop string begins. */
  #beginning() {
    let length = 0;
    for (const stop of this.#stop) {
      for (let n = Math.min(stop.length - 1, this.#held.length); n > length; n--) {
        if (stop.startsWith(this.#held.slice(-n))) length = n;
      }
    }
    return length;
  }
}
