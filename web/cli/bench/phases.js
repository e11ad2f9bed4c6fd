/** The time by phase inside the core, in builds with a clock around each (src/base/profile.h). In any runtime. */

/** @typedef {Record<string, number>} Phases milliseconds by name */

/** Where builds with a clock are. @param {string | URL} folder */
export const profileBuilds = (folder) => ({ relaxed: new URL('profile.relaxed.wasm', folder), simd: new URL('profile.simd.wasm', folder) });

/** The core's own counters (wasm/profile.c). */
export class CoreProfile {
  /** @param {import('../../core/wasm-loader.js').Wasm} wasm of a build with a clock */
  constructor(wasm) {
    this.wasm = wasm;
    const bytes = wasm.bytes(0, wasm.memory.buffer.byteLength);
    /** @type {string[]} */
    this.names = [];
    for (let start; (start = wasm.exports.hs_profile_name(this.names.length) >>> 0) !== 0;)
      this.names.push(new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start))));
  }

  reset() {
    this.wasm.exports.hs_profile_reset();
  }

  /** Since the last reset; what was outside of the core is left out. @returns {Phases} */
  read() {
    const ms = new Float64Array(this.wasm.memory.buffer, this.wasm.exports.hs_profile_ms() >>> 0, this.names.length);
    return Object.fromEntries(this.names.map((name, i) => /** @type {[string, number]} */ ([name, ms[i]])).slice(1));
  }
}

/** @param {Phases} phases */
export const totalOf = (phases) => Object.values(phases).reduce((sum, ms) => sum + ms, 0);
