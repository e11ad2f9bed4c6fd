/** The bytes of snapshots: FORMAT.md has the layout. What is read here is checked before it is believed. */
import { bytesToHex } from '@noble/hashes/utils.js';

import { CHUNKS } from '../core/kv.js';
import { HalfspaceError } from '../errors.js';

export const VERSION = 1;
const MAGIC = Uint8Array.of(0x89, 0x48, 0x53, 0x4b, 0x56, 0x0d, 0x0a, 0x1a);
export const START_BYTES = 16;
export const HEAD_BYTES = 48;
export const TRAILER_BYTES = 48;
/** Bytes of a head that its own checksum covers. */
export const CHECKED_BYTES = 40;
export const TYPES = { header: 1, tokens: 2, chunk: 3, trailer: 4 };

/** As in src/kv/kv.h and src/kv/record.h. */
export const INDEX = { leaf: 16, sink: 16, chunk: 128, growth: 8, recent: 32 };
const UNSEALED = 1024;

export const LIMITS = { headerBytes: 4 << 20, tokens: 2 ** 20, keys: 2 ** 24, layers: 256, kvHeads: 256, headDim: 256, parts: 1024 };

/**
 * @typedef {object} Place where a chunk record belongs
 * @property {number} layer
 * @property {number} kvHead
 * @property {number} part
 * @property {boolean} sealed
 * @property {number} first own index in the part
 * @property {number} keys
 * @property {number} position of own index `first`, or the oldest one of a sealed chunk
 *
 * @typedef {Place & {type: number, index: number, length: number, checksum: bigint}} Head of a record; index: its number in
 *   the file; length: bytes of its payload, whose checksum follows
 *
 * @typedef {object} Header what a snapshot says of itself; FORMAT.md has more
 * @property {'context' | 'cache' | 'index'} kind of a model's context, of a cache by itself, or of keys alone
 * @property {string | null} base hash of the snapshot that this one adds to
 * @property {string | null} model fingerprint: SHA-256 of the GGUF file's bytes before its tensors, in hex
 * @property {'q8' | 'f32'} kv how keys and values are stored
 * @property {number} tokens positions handed out
 * @property {{layers: number, kvHeads: number, headDim: number}} shape of the caches
 * @property {{leaf: number, sink: number, chunk: number, growth: number, recent: number, maxChunk: number}} index constants that the index was built with, in keys
 * @property {Record<string, number> | null} rope the rotary embedding that keys went through
 * @property {number} dropped positions after the sink of which nothing is kept
 * @property {[number, number][][]} layout of each layer its parts, oldest first: keys in chunks, keys in all
 * @property {number[]} valueNorms of each layer and KV head: no value is longer
 */

/**
 * @param {string} field
 * @param {string} must
 * @param {unknown} value
 * @param {unknown} limit
 */
const bad = (field, must, value, limit) =>
  new HalfspaceError('bad-file', `snapshot: ${field} ${must}, not ${value}`, { field, value, limit });

/** What every file begins with. */
export function fileStart() {
  const bytes = new Uint8Array(START_BYTES);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, VERSION, true);
  return bytes;
}

/**
 * @param {Uint8Array} bytes
 * @throws {HalfspaceError} bad-file: no snapshot; unsupported: another version
 */
export function checkStart(bytes) {
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw bad('magic', 'must be that of a snapshot', bytesToHex(bytes.subarray(0, MAGIC.length)), bytesToHex(MAGIC));
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const version = view.getUint32(MAGIC.length, true);
  if (version !== VERSION)
    throw new HalfspaceError('unsupported', `snapshot: version ${version} is not supported, ${VERSION} is`, {
      field: 'version',
      value: version,
      limit: VERSION,
    });
  if (view.getUint32(12, true) !== 0) throw bad('reserved', 'must be 0', view.getUint32(12, true), 0);
}

/**
 * Everything of a head but its own checksum.
 * @param {DataView} view
 * @param {Partial<Head> & {type: number, index: number, length: number, checksum: bigint}} head
 */
export function writeHead(view, head) {
  const { layer = 0, kvHead = 0, part = 0, sealed = false, first = 0, keys = 0, position = 0 } = head;
  view.setUint32(0, head.type, true);
  view.setUint32(4, head.index, true);
  view.setUint32(8, head.length, true);
  [layer, kvHead, part, sealed ? 1 : 0].forEach((word, i) => view.setUint16(12 + 2 * i, word, true));
  [first, keys, position].forEach((word, i) => view.setUint32(20 + 4 * i, word, true));
  view.setBigUint64(32, head.checksum, true);
}

/** @param {DataView} view @returns {Head} */
export function readHead(view) {
  const [layer, kvHead, part, sealed] = [12, 14, 16, 18].map((at) => view.getUint16(at, true));
  const [type, index, length] = [0, 4, 8].map((at) => view.getUint32(at, true));
  const [first, keys, position] = [20, 24, 28].map((at) => view.getUint32(at, true));
  return { type, index, length, layer, kvHead, part, sealed: sealed === 1, first, keys, position, checksum: view.getBigUint64(32, true) };
}

/** @param {Header} header */
export function encodeHeader(header) {
  const bytes = new TextEncoder().encode(JSON.stringify(header));
  if (bytes.length > LIMITS.headerBytes) throw bad('header', 'must be short enough', bytes.length, LIMITS.headerBytes);
  return bytes;
}

/** @param {string} field @param {unknown} value @param {number} least @param {number} most */
function integer(field, value, least, most) {
  if (!(typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most))
    throw bad(field, `must be an integer from ${least} to ${most}`, JSON.stringify(value), most);
  return value;
}

/** @param {string} field @param {unknown} value @param {unknown[]} allowed */
function oneOf(field, value, allowed) {
  if (!allowed.includes(value)) throw bad(field, `must be one of ${allowed.join(', ')}`, JSON.stringify(value), allowed.join(', '));
}

/** @param {string} field @param {unknown} value */
function hash(field, value) {
  if (value !== null && !(typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)))
    throw bad(field, 'must be a SHA-256 in hex, or null', JSON.stringify(value), 64);
}

/** @param {Header} header */
function checkLayout({ kind, tokens, dropped, layout, shape: { layers, kvHeads }, valueNorms }) {
  if (!(Array.isArray(layout) && layout.length === layers)) throw bad('layout', 'must have an entry per layer', layout?.length, layers);
  for (const parts of layout) {
    const most = kind === 'context' ? LIMITS.parts : 1;
    if (!(Array.isArray(parts) && parts.length >= 1 && parts.length <= most))
      throw bad('layout', `must have 1 to ${most} parts`, parts?.length, most);
    let held = 0;
    parts.forEach((part, i) => {
      const count = integer('layout', part?.[1], 0, tokens - dropped - held);
      const sealed = integer('layout', part?.[0], 0, Math.max(0, count - (i === 0 ? INDEX.sink : 0)));
      if (sealed % INDEX.chunk !== 0) throw bad('layout', `must seal chunks of ${INDEX.chunk}`, sealed, INDEX.chunk);
      held += count;
    });
    if (held !== tokens - dropped) throw bad('layout', 'must hold all positions in every layer', held, tokens - dropped);
  }
  const most = layers * kvHeads;
  if (!(Array.isArray(valueNorms) && valueNorms.length === most))
    throw bad('valueNorms', 'must have one number per cache', valueNorms?.length, most);
  for (const norm of valueNorms)
    if (!(typeof norm === 'number' && norm >= 0 && norm <= 2 ** 60))
      throw bad('valueNorms', 'must be lengths', JSON.stringify(norm), 2 ** 60);
}

/**
 * @param {Uint8Array} bytes
 * @returns {Header}
 * @throws {HalfspaceError} bad-file
 */
export function decodeHeader(bytes) {
  /** @type {Header} */
  let header;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.slice()));
  } catch (cause) {
    throw new HalfspaceError('bad-file', `snapshot: the header is not JSON: ${/** @type {Error} */ (cause).message}`, {
      field: 'header',
      cause,
    });
  }
  const { kind, base, model, kv, tokens, dropped, shape, index, rope } = header ?? {};
  oneOf('kind', kind, ['context', 'cache', 'index']);
  hash('base', base);
  hash('model', model);
  oneOf('kv', kv, ['q8', 'f32']);
  integer('shape.layers', shape?.layers, 1, kind === 'context' ? LIMITS.layers : 1);
  integer('shape.kvHeads', shape.kvHeads, 1, kind === 'index' ? 1 : LIMITS.kvHeads);
  if (integer('shape.headDim', shape.headDim, 16, LIMITS.headDim) % 8 !== 0)
    throw bad('shape.headDim', 'must be a multiple of 8', shape.headDim, 8);
  for (const [name, value] of Object.entries(INDEX)) oneOf(`index.${name}`, index?.[/** @type {keyof typeof INDEX} */ (name)], [value]);
  oneOf('index.maxChunk', index.maxChunk, CHUNKS);
  integer('tokens', tokens, 0, kind === 'context' ? LIMITS.tokens : 2 ** 31 - 1);
  integer('dropped', dropped, Math.max(0, tokens - LIMITS.keys), kind === 'context' ? 0 : tokens);
  if (kind === 'context' && (typeof rope !== 'object' || rope === null || model === null))
    throw bad('rope', 'and model must be given', rope, 'object');
  checkLayout(header);
  return header;
}

/** @param {number} maxChunk @param {number} at keys before it in chunks @param {number} sealed @returns {number} keys of the chunk */
function chunkSize(maxChunk, at, sealed) {
  let size = maxChunk;
  while (size > INDEX.chunk && (at % size !== 0 || at + size > sealed)) size /= INDEX.growth;
  return size;
}

/**
 * The spans of a part: the sink, chunks, and what is not sealed.
 * @param {boolean} root whether it has the sink
 * @param {number} sealed
 * @param {number} count
 * @param {number} maxChunk
 */
function* spansOf(root, sealed, count, maxChunk) {
  const from = root ? Math.min(INDEX.sink, count) : 0;
  if (from > 0) yield { sealed: false, first: 0, keys: from };
  for (let at = 0, keys; at < sealed; at += keys) {
    keys = chunkSize(maxChunk, at, sealed);
    yield { sealed: true, first: from + at, keys };
  }
  for (let first = from + sealed, keys; first < count; first += keys) {
    keys = Math.min(UNSEALED, count - first);
    yield { sealed: false, first, keys };
  }
}

/** Keys of a record at most. @param {Header} header */
export const longestSpan = ({ index }) => Math.max(index.maxChunk, UNSEALED);

/** Parts that the layer with the most has. @param {Header} header */
export const slotsOf = ({ layout }) => Math.max(...layout.map((parts) => parts.length));

/** The part of a layer that belongs to a slot: the last ones go together. Negative where there is none. @param {Header} header @param {number} layer @param {number} slot */
export const partInSlot = (header, layer, slot) => slot - (slotsOf(header) - header.layout[layer].length);

/**
 * All places of a snapshot that is complete, in the order of its file: parts from the oldest on, in each the layers, in each
 * the spans by position, of each the KV heads.
 * @param {Header} header
 * @returns {Generator<Place, void>}
 */
export function* placesOf(header) {
  const { layout, dropped, shape, index } = header;
  const starts = layout.map(() => 0);
  for (let slot = 0; slot < slotsOf(header); slot++) {
    for (let layer = 0; layer < layout.length; layer++) {
      const part = partInSlot(header, layer, slot);
      if (part < 0) continue;
      const [sealed, count] = layout[layer][part];
      for (const span of spansOf(part === 0, sealed, count, index.maxChunk)) {
        const position = starts[layer] + span.first + (part === 0 && span.first < INDEX.sink ? 0 : dropped);
        for (let kvHead = 0; kvHead < shape.kvHeads; kvHead++) yield { layer, kvHead, part, ...span, position };
      }
      starts[layer] += count;
    }
  }
}

/** The name of what lies at a place in all KV heads. @param {Place} place */
export const spanKey = ({ layer, part, sealed, first, keys }) => `${layer}.${part}.${first}.${keys}.${sealed ? 1 : 0}`;

/** @param {Place} place */
export const placeKey = (place) => `${spanKey(place)}.${place.kvHead}`;

/** For error messages. @param {Place} place */
export const placeText = ({ layer, kvHead, part, sealed, first, keys }) =>
  `layer ${layer}, KV head ${kvHead}, part ${part}, ${sealed ? 'chunk of' : 'unsealed'} keys ${first}..${first + keys - 1}`;

/** A checksum as text. @param {bigint} sum */
export const hex64 = (sum) => sum.toString(16).padStart(16, '0');
