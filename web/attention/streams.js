/** Caches and indexes as streams of chunk records. */
import { aborted, throwIfAborted } from '../abort.js';
import { badArgument } from '../errors.js';
import { INDEX, placeKey, placesOf } from '../snapshot/format.js';
import { extentOf } from '../snapshot/kv.js';
import { SnapshotReader } from '../snapshot/reader.js';
import { Staging } from '../snapshot/staging.js';
import { snapshotStream } from '../snapshot/writer.js';

/**
 * @typedef {import('./streamed.js').StreamedHandle} StreamedHandle
 * @typedef {import('../snapshot/format.js').Header} Header
 * @typedef {import('../snapshot/format.js').Place} Place
 * @typedef {import('../snapshot/reader.js').SnapshotInfo} SnapshotInfo
 */

/** @param {StreamedHandle} cache @param {number} head */
const kvOf = (cache, head) => cache.call('kv', head) >>> 0;

/** What a snapshot of a cache must say to be its own. @param {StreamedHandle} cache */
const settingsOf = ({ layout: { kind, type, kvHeads, headDim, maxChunk } }) => ({
  kind,
  model: null,
  kv: type,
  shape: { layers: 1, kvHeads, headDim },
  index: { ...INDEX, maxChunk },
  rope: null,
});

/** Settings by their paths. @param {object} settings @param {string} [path] @returns {Record<string, unknown>} */
const flatten = (settings, path = '') =>
  Object.assign(
    {},
    ...Object.entries(settings).map(([name, value]) =>
      typeof value === 'object' && value !== null ? flatten(value, `${path}${name}.`) : { [path + name]: value },
    ),
  );

/** @param {StreamedHandle} cache @param {number} revision what it was when a stream began */
function checkUnchanged(cache, revision) {
  if (cache.revision !== revision) throw badArgument('cache', 'must not change while a stream reads or fills it', cache.revision, revision);
}

/**
 * @param {StreamedHandle} cache
 * @param {import('../snapshot/writer.js').SnapshotOptions} options
 */
export function readableOf(cache, { onInfo, ...options }) {
  const { wasm } = cache.core;
  const { base, count, sealed } = extentOf(wasm, kvOf(cache, 0));
  const { revision } = cache;
  /** @type {import('../snapshot/writer.js').Subject} */
  const subject = {
    wasm,
    header: {
      ...settingsOf(cache),
      tokens: cache.length,
      dropped: base,
      layout: [[[sealed, count]]],
      valueNorms: Array.from({ length: cache.layout.kvHeads }, (_, head) => wasm.exports.hs_kv_value_norm(kvOf(cache, head))),
    },
    kv: ({ kvHead }) => kvOf(cache, kvHead),
    check: () => checkUnchanged(cache, revision),
    release() {},
  };
  return snapshotStream(subject, {
    ...options,
    onInfo(info) {
      if (cache.revision === revision) cache.noteSaved(info);
      onInfo?.(info);
    },
  });
}

/** How many keys the spans have that a snapshot begins with and that are held. @param {Header} header @param {SnapshotInfo['checksums']} held */
function heldFirst(header, held) {
  let count = 0;
  for (const place of placesOf(header)) {
    if (!(placeKey(place) in held)) break;
    count = place.first + place.keys;
  }
  return count;
}

/** Fills a cache; what has come is there for queries at once. */
class CacheSink {
  /** @type {Header | undefined} */
  #header;
  /** Keys of the snapshot that the cache holds: whole spans of all heads. */
  #shown = 0;

  /** @param {StreamedHandle} cache */
  constructor(cache) {
    this.cache = cache;
    this.revision = cache.revision;
  }

  /** @param {Header} header @param {SnapshotInfo['checksums']} held */
  begin(header, held) {
    const { cache } = this;
    checkUnchanged(cache, this.revision);
    const given = flatten(header);
    for (const [name, own] of Object.entries(flatten(settingsOf(cache))))
      if (given[name] !== own) throw badArgument(name, `of the snapshot is ${given[name]}, of the cache ${own}`, given[name], own);
    if (header.base === null && cache.length > 0) throw badArgument('cache', 'must be empty', cache.length, 0);
    const more = header.layout[0][0][1] - extentOf(cache.core.wasm, kvOf(cache, 0)).count;
    cache.track(() => cache.core.wasm.check(cache.call('reserve', Math.max(0, more)), 'tokens'));
    header.valueNorms.forEach((norm, head) => cache.core.exports.hs_kv_value_norm_set(kvOf(cache, head), norm));
    this.#header = header;
    this.#show(heldFirst(header, held));
  }

  /** @param {Place} place @param {number} pointer */
  chunk(place, pointer) {
    const { cache } = this;
    checkUnchanged(cache, this.revision);
    const kv = kvOf(cache, place.kvHead);
    const { sealed, first, keys, kvHead } = place;
    cache.core.wasm.check(cache.core.exports.hs_record_read(kv, sealed ? 1 : 0, first, keys, 0, pointer), 'content');
    // Keys that were shown before may be other ones now, or removed.
    if (kvHead === cache.layout.kvHeads - 1 || first < this.#shown) this.#show(kvHead === cache.layout.kvHeads - 1 ? first + keys : 0);
  }

  end() {
    checkUnchanged(this.cache, this.revision);
    this.#show(/** @type {Header} */ (this.#header).layout[0][0][1]);
  }

  /** @param {number} count keys that are there now, at least */
  #show(count) {
    const { cache } = this;
    const { dropped, layout } = /** @type {Header} */ (this.#header);
    this.#shown = Math.max(this.#shown, count);
    const sealed = Math.min(layout[0][0][0], Math.max(0, this.#shown - INDEX.sink));
    const base = this.#shown > 0 ? dropped : 0;
    cache.track(() => cache.core.wasm.check(cache.call('lay_out', base, sealed, this.#shown), 'layout'));
    this.revision = cache.changed();
  }
}

/**
 * @param {StreamedHandle} cache
 * @param {{signal?: AbortSignal}} options
 * @returns {WritableStream<Uint8Array>}
 */
export function writableOf(cache, { signal }) {
  throwIfAborted(signal);
  const staging = new Staging(cache.core.wasm);
  const sink = new CacheSink(cache);
  const reader = new SnapshotReader(staging, sink);
  /** @type {WritableStreamDefaultController} */
  let controller;
  const stop = () => {
    finish();
    controller.error(aborted(signal));
  };
  const finish = () => {
    signal?.removeEventListener('abort', stop);
    staging.free();
  };
  return new WritableStream({
    start(given) {
      controller = given;
      signal?.addEventListener('abort', stop);
    },
    async write(piece) {
      try {
        if (!(piece instanceof Uint8Array)) throw badArgument('piece', 'must be a Uint8Array', piece, 'Uint8Array');
        await reader.push(piece, cache.saved);
      } catch (error) {
        finish();
        throw signal?.aborted ? aborted(signal) : error;
      }
    },
    close() {
      finish();
      reader.end();
      cache.noteSaved(/** @type {SnapshotInfo} */ (reader.info));
    },
    abort: finish,
  });
}
