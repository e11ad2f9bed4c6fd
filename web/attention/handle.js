/** What indexes, caches and trees have in common: an object inside the core, its shape, its memory, and its end. */
import { checkInteger, checkName, shown } from '../checks.js';
import { CHUNKS, KV_TYPES } from '../core/kv.js';
import { badArgument, HalfspaceError } from '../errors.js';

/** As in src/base/hs.h. */
const HEAD_DIM = { least: 16, most: 256, multiple: 8 };

/**
 * @typedef {object} Shape of an index or a cache
 * @property {number} headDim numbers per key, 16..256, a multiple of 8
 * @property {'q8' | 'f32'} [type] how keys (and values) are stored: int8 with a scale per row (default), or f32
 * @property {number} [maxChunk] keys that are sorted together at most: 128, 1024 (default), 8192 or 65536; more gives closer
 *   leaves, and longer pauses when a chunk is sorted
 * @property {import('./core.js').LoadOptions} [wasm] default: the instance of WebAssembly that all share which give no
 *   options; those that give the same options object share another one
 */

/**
 * The shape with its defaults, and the type as the core numbers it.
 * @param {Shape} shape
 */
export function checkShape({ headDim, type = 'q8', maxChunk = 1024 }) {
  const { least, most, multiple } = HEAD_DIM;
  if (!(Number.isInteger(headDim) && headDim >= least && headDim <= most && headDim % multiple === 0))
    throw badArgument(
      'headDim',
      `must be ${least} to ${most}, a multiple of ${multiple}, not ${shown(headDim)}`,
      headDim,
      headDim < least ? least : most,
    );
  const typeCode = checkName('type', type, KV_TYPES);
  if (!CHUNKS.includes(maxChunk))
    throw badArgument('maxChunk', `must be one of ${CHUNKS.join(', ')}, not ${shown(maxChunk)}`, maxChunk, CHUNKS);
  return { headDim, type, maxChunk, typeCode };
}

/** An object inside the core. */
export class Handle {
  #pointer;
  #name;
  #bytes;

  /**
   * @internal
   * @param {import('./core.js').Core} core
   * @param {string} name what errors call it, and its exports begin with: hs_<name>_free
   * @param {() => number} create
   */
  constructor(core, name, create) {
    const before = core.used();
    /** @internal */
    this.core = core;
    this.#name = name;
    this.#pointer = create() >>> 0;
    if (this.#pointer === 0) throw core.wasm.lastFailure(name);
    this.#bytes = core.used() - before;
  }

  /** @internal @throws {HalfspaceError} closed */
  get pointer() {
    if (this.#pointer === 0) throw new HalfspaceError('closed', `the ${this.#name} was freed`, { field: this.#name });
    return this.#pointer;
  }

  /** Bytes it holds inside WebAssembly; 0 after free(). */
  get memoryBytes() {
    return this.#bytes;
  }

  /**
   * Runs something that may change what the object holds.
   * @internal
   * @template T
   * @param {() => T} run
   * @returns {T}
   */
  track(run) {
    const before = this.core.used();
    try {
      return run();
    } finally {
      this.#bytes += this.core.used() - before;
    }
  }

  /**
   * The object's own export of this name.
   * @internal
   * @param {string} name
   * @param {number[]} args after the pointer
   */
  call(name, ...args) {
    return this.core.exports[`hs_${this.#name}_${name}`](this.pointer, ...args);
  }

  /** Keys held: those that were not removed. @throws {HalfspaceError} closed */
  get size() {
    return this.call('size');
  }

  /** Gives all memory back. Later calls throw 'closed', except free() itself. */
  free() {
    this.core.exports[`hs_${this.#name}_free`](this.#pointer);
    this.#pointer = 0;
    this.#bytes = 0;
  }
}

// `using` calls this where the runtime has it.
if (Symbol.dispose)
  Object.defineProperty(Handle.prototype, Symbol.dispose, { value: Handle.prototype.free, configurable: true, writable: true });

/** What keys are appended to and removed from. */
export class GrowingHandle extends Handle {
  #revision = 0;

  /** Counts changes of what it holds. @internal */
  get revision() {
    return this.#revision;
  }

  /** @internal @returns {number} the new revision */
  changed() {
    return ++this.#revision;
  }

  /**
   * Appends part by part; where one fails all that came before it in the same call is taken back.
   * @internal
   * @param {number} rows
   * @param {number} width numbers per row
   * @param {(from: number, count: number) => void} append
   */
  appendParts(rows, width, append) {
    const part = this.core.part(width);
    const before = this.length;
    this.changed();
    this.track(() => {
      try {
        for (let from = 0; from < rows; from += part) append(from, Math.min(part, rows - from));
      } catch (error) {
        this.truncate(before);
        throw error;
      }
    });
  }

  /** Positions that were handed out: the next key's. @throws {HalfspaceError} closed */
  get length() {
    return this.call('length');
  }

  /**
   * Removes the keys at positions from..to-1; other keys keep their positions.
   * @param {number} from 0..length
   * @param {number} [to] from..length, default from + 1
   * @throws {HalfspaceError} bad-argument: out of range, with field, value and limit; closed
   */
  remove(from, to = from + 1) {
    const { length } = this;
    checkInteger('from', from, 0, length);
    checkInteger('to', to, from, length);
    this.changed();
    this.track(() => this.core.wasm.check(this.call('remove', from, to), 'from'));
  }

  /**
   * Keeps positions below `length`; the next key gets position `length`.
   * @param {number} length 0 to what it was
   * @throws {HalfspaceError} bad-argument: out of range, with field, value and limit; closed
   */
  truncate(length) {
    checkInteger('length', length, 0, this.length);
    this.changed();
    this.track(() => this.core.wasm.check(this.call('truncate', length), 'length'));
  }
}
