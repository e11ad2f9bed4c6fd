/** Reads snapshots, each of which adds to the one before, to their end. */
import { isByteSource } from '../bytes/sources.js';
import { badArgument } from '../errors.js';
import { openPieces } from './pieces.js';
import { SnapshotReader } from './reader.js';
import { Staging } from './staging.js';

const MAX_SOURCES = 1024;

/**
 * @typedef {import('./pieces.js').SnapshotSource} SnapshotSource
 * @typedef {import('./reader.js').SnapshotInfo} SnapshotInfo
 *
 * @typedef {object} ReadOptions how a snapshot is read
 * @property {AbortSignal} [signal] ends the reading with 'aborted'
 * @property {(bytes: number, total: number | undefined) => void} [onProgress] called with bytes read, and all of them: total, where the sizes of all sources are known
 */

/** One source, of which the header was read. */
class Opened {
  /**
   * @param {import('../core/wasm-loader.js').Wasm} wasm
   * @param {SnapshotSource} source
   * @param {AbortSignal | undefined} signal
   * @param {(bytes: number) => void} onBytes
   */
  static async open(wasm, source, signal, onBytes) {
    const staging = new Staging(wasm);
    try {
      const { size, pieces } = await openPieces(source, signal);
      return new Opened(staging, size, pieces, onBytes);
    } catch (error) {
      staging.free();
      throw error;
    }
  }

  /**
   * Use Opened.open().
   * @param {Staging} staging
   * @param {number | undefined} size
   * @param {AsyncGenerator<Uint8Array, void>} pieces
   * @param {(bytes: number) => void} onBytes
   */
  constructor(staging, size, pieces, onBytes) {
    this.size = size;
    this.staging = staging;
    this.reader = new SnapshotReader(staging);
    this.records = this.#records(pieces, onBytes);
  }

  /** @param {AsyncGenerator<Uint8Array, void>} pieces @param {(bytes: number) => void} onBytes */
  async *#records(pieces, onBytes) {
    for await (const piece of pieces) {
      yield* this.reader.records.push(piece);
      onBytes(piece.length);
    }
    this.reader.end();
  }

  /** @returns {Promise<import('./format.js').Header>} */
  async header() {
    await this.#next();
    return /** @type {import('./format.js').Header} */ (this.reader.header);
  }

  /** After the header, of a context. */
  async tokens() {
    await this.#next();
    return this.reader.tokens;
  }

  async #next() {
    const { value } = await this.records.next();
    this.reader.accept(/** @type {import('./reader.js').SnapshotRecord} */ (value));
  }

  /** The rest. @param {import('./reader.js').Sink} sink @param {SnapshotInfo} [previous] */
  async read(sink, previous) {
    this.reader.sink = sink;
    this.reader.begin(previous);
    for await (const record of this.records) this.reader.accept(record);
    return /** @type {SnapshotInfo} */ (this.reader.info);
  }

  async close() {
    await this.records.return();
    this.staging.free();
  }
}

/**
 * @template T
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {SnapshotSource} source
 * @param {AbortSignal | undefined} signal
 * @param {(opened: Opened) => Promise<T>} read as far as is wanted
 * @returns {Promise<T>}
 */
async function readStart(wasm, source, signal, read) {
  const opened = await Opened.open(wasm, source, signal, () => {});
  try {
    return await read(opened);
  } finally {
    await opened.close();
  }
}

/**
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {SnapshotSource} source
 * @param {AbortSignal} [signal]
 */
export const readHeader = (wasm, source, signal) => readStart(wasm, source, signal, (opened) => opened.header());

/**
 * The header and, of a context, the tokens, without what is behind them.
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {SnapshotSource} source
 * @param {AbortSignal} [signal]
 * @returns {Promise<{header: import('./format.js').Header, tokens: number[]}>}
 */
export const readTokens = (wasm, source, signal) =>
  readStart(wasm, source, signal, async (opened) => {
    const header = await opened.header();
    return { header, tokens: header.kind === 'context' ? await opened.tokens() : [] };
  });

/**
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {SnapshotSource | SnapshotSource[]} source one snapshot, or it and those that add to it, in order
 * @param {(headers: import('./format.js').Header[], total: number | undefined) => import('./reader.js').Sink} sinkOf what takes
 *   their chunks; total: bytes of all sources, where their sizes are known
 * @param {ReadOptions} [options]
 * @returns {Promise<{info: SnapshotInfo, tokens: number[]}>} of the last one
 */
export async function readSnapshots(wasm, source, sinkOf, { signal, onProgress } = {}) {
  const sources = Array.isArray(source) ? source : [source];
  if (sources.length < 1 || sources.length > MAX_SOURCES)
    throw badArgument('source', `must be 1 to ${MAX_SOURCES} snapshots, not ${sources.length}`, sources.length, MAX_SOURCES);
  /** @type {Opened[]} */
  const opened = [];
  let done = 0;
  /** @type {number | undefined} */
  let total;
  try {
    const headers = [];
    for (const one of sources) {
      opened.push(
        await Opened.open(wasm, one, signal, (bytes) => {
          done += bytes;
          onProgress?.(done, total);
        }),
      );
      headers.push(await opened[opened.length - 1].header());
    }
    total = opened.reduce(
      (/** @type {number | undefined} */ sum, { size }) => (sum === undefined || size === undefined ? undefined : sum + size),
      0,
    );
    const sink = sinkOf(headers, total);
    /** @type {SnapshotInfo | undefined} */
    let info;
    for (const one of opened) info = await one.read(sink, info);
    return { info: /** @type {SnapshotInfo} */ (info), tokens: opened[opened.length - 1].reader.tokens };
  } finally {
    for (const one of opened) await one.close();
    // Those that were not come to are given back, too.
    for (const one of sources) if (isByteSource(one)) await one.close();
  }
}
