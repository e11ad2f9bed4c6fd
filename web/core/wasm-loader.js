/** Picks, instantiates and checks a WebAssembly build of the C core. */
import { relaxedSimd, simd } from 'wasm-feature-detect';

import { shown } from '../checks.js';
import { HalfspaceError } from '../errors.js';
import { builtin, inNode } from '../runtime.js';
import { PATIENCE_SECONDS, threadCount, ThreadPool } from './thread-pool.js';

const INITIAL_PAGES = 32;
const MAX_PAGES = 65_536;
const PAGE_BYTES = 65_536;
const ABI_VERSION = 6;

/** Status codes of src/base/hs.h. @type {Record<number, import('../errors.js').ErrorCode>} */
const CODES = { [-1]: 'bad-argument', [-2]: 'out-of-memory', [-3]: 'bad-argument', [-4]: 'context-full', [-5]: 'unsupported' };

/**
 * @typedef {'relaxed' | 'simd'} Variant
 * @typedef {Variant | `${Variant}.threads`} Build as files are named: build/halfspace.<build>.wasm
 * @typedef {Record<string, (...args: number[]) => number>} Exports the functions of wasm/abi*.c and threads.c
 *
 * @typedef {object} LoadOptions which build of the core runs, and in how much memory
 * @property {'auto' | Variant} [variant] default auto: relaxed SIMD where it exists and computes rightly
 * @property {number} [maxMemoryBytes] limit of the WASM memory, default 4 GB
 * @property {Partial<Record<Build, WebAssembly.Module | BufferSource | string | URL>>} [wasm] where a runtime needs to be
 *   told: compiled modules (edge workers), bytes, or URLs
 */

/** Written out, for bundlers to see them; asked for late, as edge workers have no URL of their own. @type {Record<Build, () => URL>} */
const FILES = {
  simd: () => new URL('../../build/halfspace.simd.wasm', import.meta.url),
  relaxed: () => new URL('../../build/halfspace.relaxed.wasm', import.meta.url),
  'simd.threads': () => new URL('../../build/halfspace.simd.threads.wasm', import.meta.url),
  'relaxed.threads': () => new URL('../../build/halfspace.relaxed.threads.wasm', import.meta.url),
};

/** One instance of the core: its exports, and access to its memory. @internal */
export class Wasm {
  /**
   * @param {Exports} exports
   * @param {WebAssembly.Memory} memory
   * @param {Variant} variant
   * @param {string[]} reasons why other variants, or threads, were not taken
   * @param {ThreadPool} [pool] where there is more than one thread
   */
  constructor(exports, memory, variant, reasons, pool) {
    this.exports = exports;
    this.memory = memory;
    this.variant = variant;
    this.reasons = reasons;
    this.pool = pool;
  }

  get threads() {
    return this.pool?.threads ?? 1;
  }

  /** Ends the threads; the memory goes with the last reference to this. */
  close() {
    this.pool?.close();
  }

  /** @param {number} pointer @param {number} length */
  bytes(pointer, length) {
    return new Uint8Array(this.memory.buffer, pointer >>> 0, length);
  }

  /** @param {number} pointer @param {number} length in floats */
  floats(pointer, length) {
    return new Float32Array(this.memory.buffer, pointer >>> 0, length);
  }

  /** Text of the last failure inside the core. */
  lastError() {
    const bytes = new Uint8Array(this.memory.buffer);
    const start = this.exports.hs_last_error() >>> 0;
    // A copy: TextDecoder refuses shared memory.
    return new TextDecoder().decode(bytes.slice(start, bytes.indexOf(0, start)));
  }

  /**
   * The last failure inside the core as an error.
   * @param {import('../errors.js').ErrorCode} code
   * @param {string} field what the call was about
   */
  failure(code, field) {
    if (code === 'out-of-memory') {
      // The core knows what it asked for, but not what there is.
      const [value, limit] = [this.exports.hs_memory_used() >>> 0, this.limitBytes];
      return new HalfspaceError(code, `${field}: no more memory, ${value} of ${limit} bytes are in use`, { field, value, limit });
    }
    const [value, limit] = [this.exports.hs_last_error_value(), this.exports.hs_last_error_limit()];
    return new HalfspaceError(code, `${field}: ${this.lastError()}`, { field, ...(!Number.isNaN(limit) && { value, limit }) });
  }

  /**
   * Why a function of the core returned no pointer.
   * @param {string} field what the call was about
   */
  lastFailure(field) {
    return this.failure(CODES[this.exports.hs_last_error_code()], field);
  }

  /**
   * Throws when a status is negative.
   * @param {number} status
   * @param {string} field what the call was about
   */
  check(status, field) {
    if (status < 0) throw this.failure(CODES[status] ?? 'bad-argument', field);
    return status;
  }

  /**
   * A call that threads work on.
   * @param {'hs_prefill' | 'hs_decode'} name
   * @param {number[]} args
   * @returns {number}
   * @throws {HalfspaceError} closed: a thread was lost; what it left undone cannot be made up for
   */
  parallel(name, ...args) {
    this.#checkThreads();
    const stack = this.exports.stackSave();
    try {
      return this.exports[name](...args);
    } catch (error) {
      this.#checkThreads(error);
      throw error;
    } finally {
      this.exports.stackRestore(stack);
    }
  }

  /** @param {unknown} [cause] */
  #checkThreads(cause) {
    if (this.pool?.lost)
      throw new HalfspaceError('closed', `a thread died, or did not answer for ${PATIENCE_SECONDS} s: the engine is of no more use`, {
        field: 'threads',
        value: this.threads,
        ...(cause !== undefined && { cause }),
      });
  }

  /**
   * @param {number} bytes
   * @param {string} field
   * @returns {number} pointer
   */
  alloc(bytes, field) {
    const pointer = this.exports.hs_alloc(bytes) >>> 0;
    if (pointer === 0)
      throw new HalfspaceError('out-of-memory', `no memory for the ${field}: ${bytes} bytes asked`, {
        field,
        value: bytes,
        limit: this.free(),
      });
    return pointer;
  }

  /** Bytes that could still be allocated, roughly: the limit less what is in use. */
  free() {
    return Math.max(0, this.limitBytes - (this.exports.hs_memory_used() >>> 0));
  }

  /** Set by the loader: the limit of this memory in bytes. */
  limitBytes = MAX_PAGES * PAGE_BYTES;
}

/** @param {Variant} variant @param {number} threads @returns {Build} */
const buildOf = (variant, threads) => (threads > 1 ? `${variant}.threads` : variant);

/** @param {Build} build @param {LoadOptions} options */
async function moduleOf(build, options) {
  const given = options.wasm?.[build];
  if (given instanceof WebAssembly.Module) return given;
  if (given && typeof given !== 'string' && !(given instanceof URL)) return WebAssembly.compile(given);
  const url = given ? new URL(given) : FILES[build]();
  if (inNode && url.protocol === 'file:') return WebAssembly.compile(await builtin('node:fs/promises').readFile(url));
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** @param {Variant} variant @param {LoadOptions} options @param {number} threads @param {string[]} reasons */
async function instantiate(variant, options, threads, reasons) {
  const limit = Math.min(MAX_PAGES, Math.floor((options.maxMemoryBytes ?? Infinity) / PAGE_BYTES));
  if (!(limit >= INITIAL_PAGES)) {
    throw new HalfspaceError('bad-argument', `maxMemoryBytes must be at least ${INITIAL_PAGES * PAGE_BYTES}`, {
      field: 'maxMemoryBytes',
      value: options.maxMemoryBytes,
      limit: INITIAL_PAGES * PAGE_BYTES,
    });
  }
  const memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: limit, shared: threads > 1 });
  const module = await moduleOf(buildOf(variant, threads), options);
  // The clock is for builds that time their phases (wasm/profile.c); others import the memory alone.
  const instance = await WebAssembly.instantiate(module, { env: { memory, now: () => performance.now() } });
  const exports = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
  if (exports.hs_abi_version() !== ABI_VERSION) throw new Error(`ABI version ${exports.hs_abi_version()}, ${ABI_VERSION} expected`);
  const failed = exports.hs_self_test();
  if (failed !== 0) throw new Error(`numeric self-test ${failed} failed: this engine computes ${variant} SIMD wrongly`);
  const pool = threads > 1 ? await ThreadPool.start(module, memory, exports, threads) : undefined;
  const wasm = new Wasm(exports, memory, variant, reasons, pool);
  wasm.limitBytes = limit * PAGE_BYTES;
  return wasm;
}

/**
 * @param {LoadOptions} [options]
 * @param {number | 'auto'} [threads] 1..16; auto: as many as processors, 4 at most, and one where threads do not run
 * @returns {Promise<Wasm>}
 * @throws {HalfspaceError} no-simd: no variant runs here; unsupported: the variant or the threads that were asked for do not
 */
export async function loadWasm(options = {}, threads = 1) {
  const variant = options.variant ?? 'auto';
  if (!['auto', 'relaxed', 'simd'].includes(variant))
    throw new HalfspaceError('bad-argument', `variant must be auto, relaxed or simd, not ${shown(variant)}`, {
      field: 'variant',
      value: variant,
      limit: 'auto, relaxed, simd',
    });
  /** @type {string[]} */
  const reasons = [];
  const most = await threadCount(threads, reasons);
  const names = await variantsHere(variant, reasons);
  for (const count of threads === 'auto' && most > 1 ? [most, 1] : [most]) {
    for (const name of names) {
      try {
        return await instantiate(name, options, count, reasons);
      } catch (error) {
        const noThreads = error instanceof HalfspaceError && error.field === 'threads';
        if (error instanceof HalfspaceError && !(noThreads && threads === 'auto')) throw error;
        reasons.push(`${buildOf(name, count)}: ${/** @type {Error} */ (error).message}`);
        if (noThreads) break;
      }
    }
  }
  throw new HalfspaceError(variant === 'auto' ? 'no-simd' : 'unsupported', `no WebAssembly build runs here: ${reasons.join('; ')}`, {
    field: 'variant',
    value: variant,
    limit: reasons,
  });
}

/**
 * The variants to try, the fastest first.
 * @param {'auto' | Variant} wanted
 * @param {string[]} reasons gains why others are not tried
 */
async function variantsHere(wanted, reasons) {
  const detect = /** @type {[Variant, () => Promise<boolean>][]} */ ([
    ['relaxed', relaxedSimd],
    ['simd', simd],
  ]);
  /** @type {Variant[]} */
  const names = [];
  for (const [name, runs] of detect.filter(([name]) => wanted === 'auto' || wanted === name)) {
    if (await runs()) names.push(name);
    else reasons.push(`${name}: not supported by this runtime`);
  }
  return names;
}
