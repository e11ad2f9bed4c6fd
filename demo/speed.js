/** How fast something comes, lately, and how long it will take. */
import { count } from './view/format.js';

const WINDOW_MS = 4000;
/** A shorter time says little. */
const LEAST_MS = 500;

export class Speed {
  /** @type {{at: number, done: number}[]} */
  #seen = [];

  /**
   * @param {number} done bytes
   * @param {number} total
   * @param {number} [now] ms
   * @returns {string} empty as long as nothing can be said
   */
  words(done, total, now = performance.now()) {
    this.#seen.push({ at: now, done });
    while (this.#seen[0].at < now - WINDOW_MS) this.#seen.shift();
    const [first] = this.#seen;
    const ms = now - first.at;
    if (ms < LEAST_MS || done === first.done) return '';
    const perSecond = (1000 * (done - first.done)) / ms;
    return `, ${perSecond < 1e6 ? `${count(perSecond / 1e3)} kB` : `${(perSecond / 1e6).toFixed(1)} MB`}/s, ${left((total - done) / perSecond)}`;
  }
}

/** @param {number} seconds */
function left(seconds) {
  if (seconds < 90) return `${count(Math.ceil(seconds))} s left`;
  return seconds < 5400 ? `${count(Math.ceil(seconds / 60))} min left` : `${count(Math.ceil(seconds / 3600))} h left`;
}
