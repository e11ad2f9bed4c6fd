/** Snapshots of a model's contexts: what is written of one, and how one is made of what is read. */
import { badArgument, HalfspaceError } from '../errors.js';
import { INDEX, partInSlot, placesOf, slotsOf, spanKey } from '../snapshot/format.js';
import { bytesOf, extentOf } from '../snapshot/kv.js';
import { Context } from './context.js';

/** HS_KV_TAIL of src/kv/kv.h: a continuation has room for so many keys more, which a restored one can use. */
const TAIL = INDEX.leaf + INDEX.chunk + INDEX.recent;

/** Words of hs_config (src/model/config.h) that decide where a key is turned to. */
const ROPE_WORDS = /** @type {const} */ ([
  ['theta', 9, 'float'],
  ['type', 10, 'int'],
  ['dimensions', 11, 'int'],
  ['scaling', 12, 'int'],
  ['factor', 13, 'float'],
  ['origContext', 14, 'int'],
  ['extFactor', 15, 'float'],
  ['attnFactor', 16, 'float'],
  ['betaFast', 17, 'float'],
  ['betaSlow', 18, 'float'],
  ['localTheta', 19, 'float'],
]);

/**
 * @typedef {import('../snapshot/format.js').Header} Header
 * @typedef {import('../snapshot/format.js').Place} Place
 */

/** @param {import('../model/config.js').ModelConfig} config @returns {Record<string, number>} */
function ropeOf({ words }) {
  const [ints, floats] = [new Int32Array(words), new Float32Array(words)];
  return Object.fromEntries(ROPE_WORDS.map(([name, at, type]) => [name, (type === 'int' ? ints : floats)[at]]));
}

/** Pointers to a cache's parts, the oldest first. @param {import('../core/wasm-loader.js').Wasm} wasm @param {number} kv */
function partsOf(wasm, kv) {
  const parts = [];
  for (; kv !== 0; kv = wasm.exports.hs_kv_parent(kv) >>> 0) parts.unshift(kv);
  return parts;
}

/**
 * What a snapshot of a context is taken of. The context is kept until the stream ends.
 * @param {Context} context
 * @returns {import('../snapshot/writer.js').Subject}
 */
export function contextSubject(context) {
  const { wasm, config, shape } = context;
  const { layers, kvHeads, headDim } = shape;
  const model = config.fingerprint;
  const caches = Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: kvHeads }, (_, head) => partsOf(wasm, wasm.exports.hs_context_kv(context.pointer, layer, head) >>> 0)),
  );
  const layout = caches.map(([parts]) =>
    parts.map((kv) => {
      const { sealed, count } = extentOf(wasm, kv);
      return /** @type {[number, number]} */ ([sealed, count]);
    }),
  );
  const last = (/** @type {number[]} */ parts) => parts[parts.length - 1];
  const tokens = context.ids;
  context.retain();
  return {
    wasm,
    tokens,
    header: {
      kind: 'context',
      model,
      kv: context.kv,
      tokens: tokens.length,
      shape: { layers, kvHeads, headDim },
      index: { ...INDEX, maxChunk: extentOf(wasm, last(caches[0][0])).maxChunk },
      rope: ropeOf(config),
      dropped: 0,
      layout,
      valueNorms: caches.flatMap((heads) => heads.map((parts) => wasm.exports.hs_kv_value_norm(last(parts)))),
    },
    kv: ({ layer, kvHead, part }) => caches[layer][kvHead][part],
    check() {},
    release: () => context.release(),
  };
}

/**
 * @param {string} field
 * @param {unknown} value of the snapshot
 * @param {unknown} limit of the engine
 */
function same(field, value, limit) {
  if (value !== limit) throw badArgument(field, `of the snapshot is ${value}, of the engine ${limit}`, value, limit);
}

/**
 * Whether a snapshot fits a model and the engine's options.
 * @param {Header} header
 * @param {import('../model/config.js').ModelConfig} config
 * @param {'q8' | 'f32'} kv
 * @throws {HalfspaceError} bad-argument, with what the snapshot says as value and what the engine has as limit
 */
export function checkFit(header, config, kv) {
  same('kind', header.kind, 'context');
  same('model', header.model, config.fingerprint);
  same('kv', header.kv, kv);
  same('shape.layers', header.shape.layers, config.nLayers);
  same('shape.kvHeads', header.shape.kvHeads, config.nKvHeads);
  same('shape.headDim', header.shape.headDim, config.headDim);
  for (const [name, value] of Object.entries(ropeOf(config))) same(`rope.${name}`, header.rope?.[name], value);
}

/** A context may be so much larger than the files that it comes from; one that is cut off says more about itself further on. */
const CLAIM_BYTES = 64 << 20;

/**
 * Whether files can hold what a header promises, before memory is made for it.
 * @param {import('../core/wasm-loader.js').Wasm} wasm
 * @param {Header} header that fits the model
 * @param {number | undefined} total bytes of the files; of a stream they are not known, and memory is limited by ctx and
 *   maxMemoryBytes alone
 * @throws {HalfspaceError} bad-file
 */
export function checkClaim(wasm, header, total = Infinity) {
  let bytes = 0;
  for (const place of placesOf(header)) if (place.kvHead === 0) bytes += header.shape.kvHeads * bytesOf(wasm, header, place);
  if (bytes > total + CLAIM_BYTES)
    throw new HalfspaceError('bad-file', `snapshot: ${header.tokens} tokens have ${bytes} bytes, the files have ${total}`, {
      field: 'tokens',
      value: bytes,
      limit: total,
    });
}

/** Tokens that a restored context inherits from the one it continues. @param {Header} header */
export const inheritedOf = ({ tokens, layout }) => Math.max(...layout.map((parts) => tokens - parts[parts.length - 1][1]));

/** Takes the records of snapshots that add up to one context: a chain of contexts, one per part of its caches. */
export class ContextSink {
  /** @type {Context[]} */
  #chain = [];
  /** Slots by the keys of their spans. @type {Map<string, number>} */
  #slots = new Map();

  /**
   * @param {import('../core/wasm-loader.js').Wasm} wasm
   * @param {number} model pointer
   * @param {import('../model/config.js').ModelConfig} config
   * @param {Header} header of the last snapshot
   */
  constructor(wasm, model, config, header) {
    this.wasm = wasm;
    this.header = header;
    try {
      for (let slot = 0; slot < slotsOf(header); slot++) this.#addPart(model, config, slot);
    } catch (error) {
      this.release();
      throw error;
    }
    for (const place of placesOf(header)) {
      if (place.kvHead === 0) this.#slots.set(spanKey(place), slotsOf(header) - header.layout[place.layer].length + place.part);
    }
  }

  get #last() {
    return this.#chain[this.#chain.length - 1];
  }

  /** @param {number} model @param {import('../model/config.js').ModelConfig} config @param {number} slot */
  #addPart(model, config, slot) {
    const { wasm, header } = this;
    const parts = header.layout.map((layer, l) => layer[partInSlot(header, l, slot)]);
    const most = Math.max(1, ...parts.map((part) => part?.[1] ?? 0));
    const parent = this.#last;
    const capacity = Math.max(1, most - (parent ? TAIL : 0));
    this.#chain.push(new Context(wasm, model, config, { capacity, kv: header.kv, parent }));
    parent?.release(); // its continuation keeps it
    same('index.maxChunk', header.index.maxChunk, extentOf(wasm, wasm.exports.hs_context_kv(this.#last.pointer, 0, 0)).maxChunk);
    parts.forEach((part, layer) => {
      if (part) wasm.check(wasm.exports.hs_context_lay_out(this.#last.pointer, layer, ...part), 'layout');
    });
  }

  /** @param {Place} place @param {number} pointer */
  chunk(place, pointer) {
    const slot = this.#slots.get(spanKey(place));
    if (slot === undefined) return; // a later snapshot has these keys otherwise
    const { wasm } = this;
    const kv = wasm.exports.hs_context_kv(this.#chain[slot].pointer, place.layer, place.kvHead);
    wasm.check(wasm.exports.hs_record_read(kv, place.sealed ? 1 : 0, place.first, place.keys, 1, pointer), 'content');
  }

  /**
   * The context, once every record is there.
   * @param {number[]} tokens
   */
  finish(tokens) {
    const { wasm, header } = this;
    const { kvHeads } = header.shape;
    header.valueNorms.forEach((norm, i) => {
      const kv = wasm.exports.hs_context_kv(this.#last.pointer, Math.floor(i / kvHeads), i % kvHeads);
      wasm.exports.hs_kv_value_norm_set(kv, norm);
    });
    this.#last.adopt(tokens);
    return this.#last;
  }

  release() {
    this.#last?.release();
  }
}
