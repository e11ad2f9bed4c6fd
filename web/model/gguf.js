/**
 * The header of a GGUF file: metadata and tensor table, each value checked when it is read. Spec: ggml/docs/gguf.md.
 *
 * Not @huggingface/gguf 0.4.6, with which the tests compare: behind the end of a file it reads zeros, texts that go beyond what
 * it has read are cut without a word, it aligns in 32 bits, and its errors name neither key nor limit.
 */
import { createSha256 } from '../bytes/sha256.js';
import { shown } from '../checks.js';
import { HalfspaceError } from '../errors.js';
import { atMost, bad, HeaderReader } from './gguf-reader.js';

/** Stated limits of a header; nameBytes: of keys and names of tensors; listLength: entries of a list. */
export const LIMITS = {
  headerBytes: 64 << 20,
  tensors: 10_000,
  metadata: 10_000,
  nameBytes: 256,
  stringBytes: 1 << 20,
  listLength: 1 << 20,
  dimensions: 4,
  dimension: 2 ** 31 - 1,
  alignment: 1 << 16,
};
const MAGIC = 0x46554747;
const VERSIONS = [2, 3];
const DEFAULT_ALIGNMENT = 32;

/** Types that can be loaded: weights and bytes per block. */
const TENSOR_TYPES = new Map([
  [0, { name: 'F32', weights: 1, bytes: 4 }],
  [1, { name: 'F16', weights: 1, bytes: 2 }],
  [2, { name: 'Q4_0', weights: 32, bytes: 18 }],
  [3, { name: 'Q4_1', weights: 32, bytes: 20 }],
  [6, { name: 'Q5_0', weights: 32, bytes: 22 }],
  [7, { name: 'Q5_1', weights: 32, bytes: 24 }],
  [8, { name: 'Q8_0', weights: 32, bytes: 34 }],
  [12, { name: 'Q4_K', weights: 256, bytes: 144 }],
  [13, { name: 'Q5_K', weights: 256, bytes: 176 }],
  [14, { name: 'Q6_K', weights: 256, bytes: 210 }],
  [30, { name: 'BF16', weights: 1, bytes: 2 }],
]);

/**
 * @typedef {object} GgufTensor
 * @property {string} name
 * @property {number} type GGML type number
 * @property {string} typeName
 * @property {number} rows ne[1], 1 for vectors
 * @property {number} cols ne[0]
 * @property {number} offset from the start of the file
 * @property {number} nbytes
 *
 * @typedef {object} GgufFile
 * @property {Record<string, any>} metadata
 * @property {GgufTensor[]} tensors in file order
 * @property {string} fingerprint SHA-256, in hex, of the bytes before the tensors' data
 */

/**
 * Reads and checks the header. Nothing beyond it is read.
 * @param {import('../bytes/sources.js').ByteSource} source
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<GgufFile>}
 * @throws {HalfspaceError} bad-file: not GGUF, wrong version, counts over the limits, truncated, overlapping; unsupported: tensor type
 */
export async function readGguf(source, { signal } = {}) {
  const reader = new HeaderReader(source, LIMITS, signal);
  const magic = await reader.uint32('magic');
  if (magic !== MAGIC) throw bad(`${source.name}: not a GGUF file`, 'magic', magic.toString(16), MAGIC.toString(16));
  const version = await reader.uint32('version');
  if (!VERSIONS.includes(version)) throw bad(`${source.name}: GGUF version ${version} is not supported`, 'version', version, VERSIONS);
  const tensorCount = atMost(await reader.uint64('tensor_count'), LIMITS.tensors, 'tensor_count', 'tensor_count');
  const metadataCount = atMost(await reader.uint64('metadata_kv_count'), LIMITS.metadata, 'metadata_kv_count', 'metadata_kv_count');
  const metadata = await readMetadata(reader, metadataCount);
  const alignment = alignmentOf(metadata);
  const infos = [];
  for (let i = 0; i < tensorCount; i++) infos.push(await readTensor(reader, alignment));
  const dataOffset = Math.ceil(reader.at / alignment) * alignment;
  const tensors = infos.map((info) => checkTensor(source, info, dataOffset));
  checkOverlaps(tensors);
  const hash = createSha256();
  hash.update(await reader.bytesTo(dataOffset));
  return { metadata, tensors, fingerprint: hash.hex() };
}

/** @param {HeaderReader} reader @param {number} count @returns {Promise<Record<string, any>>} */
async function readMetadata(reader, count) {
  const metadata = Object.create(null); // keys are the file's: one may be __proto__
  for (let i = 0; i < count; i++) {
    const key = await reader.string('metadata', LIMITS.nameBytes);
    if (key in metadata) throw bad(`key ${key} is there twice`, key, i, 1);
    metadata[key] = await reader.value(key);
  }
  return metadata;
}

/** @param {Record<string, unknown>} metadata */
function alignmentOf(metadata) {
  const field = 'general.alignment';
  const value = metadata[field] ?? DEFAULT_ALIGNMENT;
  const fits = typeof value === 'number' && value >= 1 && value <= LIMITS.alignment && Number.isInteger(Math.log2(value));
  if (!fits) throw bad(`${field} must be a power of two up to ${LIMITS.alignment}, not ${shown(value)}`, field, value, LIMITS.alignment);
  return value;
}

/**
 * An entry of the tensor table.
 * @param {HeaderReader} reader
 * @param {number} alignment
 */
async function readTensor(reader, alignment) {
  const name = await reader.string('tensors', LIMITS.nameBytes);
  const dimensions = atMost(await reader.uint32(name), LIMITS.dimensions, `the number of dimensions of tensor ${name}`, name);
  const shape = [];
  for (let i = 0; i < dimensions; i++)
    shape.push(atMost(await reader.uint64(name), LIMITS.dimension, `dimension ${i} of tensor ${name}`, name));
  const type = await reader.uint32(name);
  const offset = Number(await reader.uint64(name));
  if (offset % alignment !== 0) throw bad(`tensor ${name} starts at ${offset}, not aligned to ${alignment}`, name, offset, alignment);
  return { name, shape, type, offset };
}

/**
 * @param {import('../bytes/sources.js').ByteSource} source
 * @param {{name: string, shape: number[], type: number, offset: number}} info
 * @param {number} dataOffset
 * @returns {GgufTensor}
 */
function checkTensor(source, { name, shape, type: typeNumber, offset: relative }, dataOffset) {
  const type = TENSOR_TYPES.get(typeNumber);
  if (!type) {
    throw new HalfspaceError('unsupported', `tensor ${name} has type ${typeNumber}, which is not supported`, {
      field: name,
      value: typeNumber,
      limit: [...TENSOR_TYPES.values()].map((t) => t.name).join(', '),
    });
  }
  const size = shape.join('x');
  const [cols = 0, rows = 1, ...rest] = shape;
  if (rest.some((n) => n !== 1)) throw bad(`tensor ${name} has more than two dimensions: ${size}`, name, size, 2);
  if (cols === 0 || rows === 0) throw bad(`tensor ${name} has the shape ${size}: nothing is in it`, name, size, 1);
  if (cols % type.weights !== 0) throw bad(`tensor ${name}: ${cols} columns are not whole ${type.name} blocks`, name, cols, type.weights);
  const offset = dataOffset + relative;
  // Where the sum is no longer exact it is beyond any file.
  const end = offset + ((rows * cols) / type.weights) * type.bytes;
  if (end > source.size)
    throw bad(`${source.name} is truncated: tensor ${name} ends at byte ${end} of ${source.size}`, name, end, source.size);
  return { name, type: typeNumber, typeName: type.name, rows, cols, offset, nbytes: end - offset };
}

/** @param {GgufTensor[]} tensors are sorted by where they lie */
function checkOverlaps(tensors) {
  tensors.sort((a, b) => a.offset - b.offset);
  const names = new Set();
  let end = 0;
  for (const { name, offset, nbytes } of tensors) {
    if (offset < end) throw bad(`tensor ${name} overlaps the one before it`, 'offset', offset, end);
    if (names.has(name)) throw bad(`two tensors have the name ${name}`, 'name', name, 1);
    names.add(name);
    end = offset + nbytes;
  }
}
