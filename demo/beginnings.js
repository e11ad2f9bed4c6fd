/** A document's first tokens, for measuring: the document itself is left as it is. */

/** @typedef {import('./app.js').Engine} Engine */
/** @typedef {import('./app.js').Prefix} Prefix */

export class Beginnings {
  #engine;
  #source;
  #options;
  /** @type {Prefix | undefined} */
  #copy;

  /** @param {Engine} engine @param {Prefix} source @param {{ctx: number, signal: AbortSignal}} options */
  constructor(engine, source, options) {
    this.#engine = engine;
    this.#source = source;
    this.#options = options;
  }

  /**
   * One copy is cut shorter and shorter, which takes no time. What cannot be cut, as it continues other prefixes, is read again.
   * @param {number} length less than the last time
   * @returns {Promise<Prefix>} until the next call, or free()
   */
  async first(length) {
    this.#copy ??= await this.#engine.resume(this.#source.snapshot({ signal: this.#options.signal }), this.#options);
    if (length >= this.#copy.inherited) await this.#copy.truncate(length);
    else {
      this.free();
      this.#copy = await this.#engine.prefill(this.#source.ids.slice(0, length), this.#options);
    }
    return this.#copy;
  }

  free() {
    this.#copy?.free();
    this.#copy = undefined;
  }
}
