/** What stands in a page for web/cli/bench/report.js: it notes down what is reported, for Node.js to publish. */

/** @typedef {{result: object, calls: [method: 'text' | 'table' | 'chart', ...args: any[]][]}} Noted */

/** @type {Noted | undefined} */
let published;

/** @param {string} variant */
export const environment = (variant) => ({ variant });

export class Report {
  /** @type {Noted['calls']} */
  #calls = [];

  /** @param {any[]} args */
  text(...args) {
    this.#calls.push(['text', ...args]);
  }

  /** @param {any[]} args */
  table(...args) {
    this.#calls.push(['table', ...args]);
  }

  /** @param {any[]} args */
  chart(...args) {
    this.#calls.push(['chart', ...args]);
  }

  /** @param {object} result */
  async publish(result) {
    published = { result, calls: this.#calls };
  }
}

/** What the last report published. */
export const noted = () => published;
