/** The core that indexes and caches live in, and the one way of numbers into it. */
import { sharedWasm } from '../core/shared.js';
import { badArgument } from '../errors.js';

/** Rows pass through buffers of this many bytes as f32, a part after the other. */
const STAGE_BYTES = 1 << 20;

/** HS_COORDINATE_LIMIT of src/kv/coordinates.h, for queries too: no inner product overflows. */
export const COORDINATE_LIMIT = 1e15;

/** Results of one call; where there are more a second one is made. */
export const FIRST_ROOM = 1 << 16;

/** hs_strategy of src/hsr/cost.h. */
export const STRATEGIES = { auto: 0, brute: 1, screen: 2, tree: 3 };

/** @typedef {import('../core/wasm-loader.js').LoadOptions} LoadOptions */

/** @internal */
export class Core {
  /** @param {import('../core/wasm-loader.js').Wasm} wasm */
  constructor(wasm) {
    this.wasm = wasm;
    this.exports = wasm.exports;
    /** @type {number[]} */
    const buffers = [];
    try {
      for (const bytes of [STAGE_BYTES, STAGE_BYTES, STAGE_BYTES / 2]) buffers.push(wasm.alloc(bytes, 'staging buffer'));
    } catch (error) {
      // The instance stays, for others that share it.
      for (const buffer of buffers) wasm.exports.hs_free(buffer);
      throw error;
    }
    const [first, second, raw] = buffers;
    this.first = first;
    this.second = second;
    this.raw = raw;
  }

  /** Rows of `width` numbers that fit the stage at once, as f32 and, in half the bytes, as int8 with a scale. @param {number} width */
  part(width) {
    return Math.floor(STAGE_BYTES / Math.max(4 * width, 2 * (width + 4)));
  }

  /**
   * Copies vectors into one of the two staging buffers, as f32.
   * @param {number} pointer this.first or this.second
   * @param {import('./rows.js').Vectors} vectors
   * @param {number} from first of them
   * @param {number} count part() at most
   * @returns {number} the pointer
   * @throws {import('../errors.js').HalfspaceError} bad-argument: one is not finite or beyond COORDINATE_LIMIT
   */
  stage(pointer, { type, values, scales, dims, field }, from, count) {
    const { wasm, raw } = this;
    const n = count * dims;
    const part = values.subarray(from * dims, from * dims + n);
    if (type === 'f32') {
      wasm.floats(pointer, n).set(part);
    } else if (type === 'f16') {
      new Uint16Array(wasm.memory.buffer, raw, n).set(part);
      this.exports.hs_rows_from_f16(raw, n, pointer);
    } else {
      wasm.floats(raw, count).set(/** @type {Float32Array} */ (scales).subarray(from, from + count));
      new Int8Array(wasm.memory.buffer, raw + 4 * count, n).set(part);
      this.exports.hs_rows_from_i8(raw + 4 * count, raw, count, dims, pointer);
    }
    const numbers = wasm.floats(pointer, n);
    for (let i = 0; i < n; i++) {
      if (Math.abs(numbers[i]) <= COORDINATE_LIMIT) continue;
      const where = `vector ${from + Math.floor(i / dims)}, dimension ${i % dims}`;
      throw badArgument(
        field,
        `must be finite and at most ${COORDINATE_LIMIT} in magnitude: ${where} is ${numbers[i]}`,
        numbers[i],
        COORDINATE_LIMIT,
      );
    }
    return pointer;
  }

  /**
   * Runs a call that writes up to `room` results of `words` 32-bit words each and returns how many there are; again with more
   * room where that was short. FIRST_ROOM is a good start.
   * @template T
   * @param {number} room
   * @param {number} words
   * @param {(pointer: number, room: number) => number} run
   * @param {(pointer: number, room: number, count: number) => T} take copies the results out
   * @returns {T}
   */
  collect(room, words, run, take) {
    for (let rooms = Math.max(1, room); ;) {
      const pointer = this.wasm.alloc(4 * words * rooms, 'results');
      try {
        const count = this.wasm.check(run(pointer, rooms), 'query');
        if (count <= rooms) return take(pointer, rooms, count);
        rooms = count;
      } finally {
        this.exports.hs_free(pointer);
      }
    }
  }

  /** A copy. @param {number} pointer @param {number} length */
  ints(pointer, length) {
    return new Int32Array(this.wasm.memory.buffer, pointer, length).slice();
  }

  /** A copy. @param {number} pointer @param {number} length */
  floats(pointer, length) {
    return this.wasm.floats(pointer, length).slice();
  }

  /** Bytes in use. */
  used() {
    return this.exports.hs_memory_used() >>> 0;
  }
}

/** @type {WeakMap<import('../core/wasm-loader.js').Wasm, Core>} */
const cores = new WeakMap();

/**
 * The core of these options, in the instance that they share.
 * @param {LoadOptions} [options]
 * @returns {Promise<Core>}
 */
export async function coreOf(options) {
  const wasm = await sharedWasm(options);
  const core = cores.get(wasm) ?? new Core(wasm);
  cores.set(wasm, core);
  return core;
}
