/** The header of a GGUF file: metadata and tensor table, parsed by a library, range-checked here. Spec: ggml/docs/gguf.md. */
import { gguf } from '@huggingface/gguf';

import { HalfspaceError } from './errors.js';
import { hasSha256, sha256 } from './sha256.js';

/** Stated limits of a header. */
export const LIMITS = { headerBytes: 64 << 20, tensors: 10_000, metadata: 10_000 };

/** Types that can be loaded: weights and bytes per block. */
export const TENSOR_TYPES = new Map([
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
 * @property {string} [fingerprint] SHA-256, in hex, of the bytes before the tensors' data; not in pages without a secure context
 */

/**
 * @param {string} message
 * @param {string} field
 * @param {unknown} [value]
 * @param {unknown} [limit]
 */
const bad = (message, field, value, limit) => new HalfspaceError('bad-file', message, { field, value, limit });

/**
 * Reads and checks the header. Nothing beyond it is read.
 * @param {import('./sources.js').ByteSource} source
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<GgufFile>}
 * @throws {HalfspaceError} bad-file: not GGUF, wrong version, counts over the limits, truncated, overlapping; unsupported: tensor type
 */
export async function readGguf(source, { signal } = {}) {
  if (source.size < 24) throw bad(`${source.name}: ${source.size} bytes are too few for a GGUF header`, 'size', source.size, 24);
  const start = new DataView((await source.read(0, 24, { signal })).buffer);
  if (start.getUint32(0) !== 0x47475546) throw bad(`${source.name}: not a GGUF file`, 'magic', start.getUint32(0).toString(16), '47475546');
  const version = start.getUint32(4, true);
  if (version !== 2 && version !== 3)
    throw bad(`${source.name}: GGUF version ${version} is not supported (2 and 3 are)`, 'version', version, 3);
  checkCount('tensor_count', start.getBigUint64(8, true), LIMITS.tensors);
  checkCount('metadata_kv_count', start.getBigUint64(16, true), LIMITS.metadata);
  const parsed = await parse(source, signal);
  const tensors = parsed.tensorInfos.map((info) => checkTensor(source, info, Number(parsed.tensorDataOffset)));
  tensors.sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < tensors.length; i++) {
    const end = tensors[i - 1].offset + tensors[i - 1].nbytes;
    if (tensors[i].offset < end) throw bad(`tensor ${tensors[i].name} overlaps ${tensors[i - 1].name}`, 'offset', tensors[i].offset, end);
  }
  if (new Set(tensors.map((t) => t.name)).size !== tensors.length) throw bad('two tensors have the same name', 'name');
  const fingerprint = hasSha256() ? await sha256(parsed.header) : undefined;
  return { metadata: parsed.metadata, tensors, fingerprint };
}

/**
 * @param {string} field
 * @param {bigint} count
 * @param {number} limit
 */
function checkCount(field, count, limit) {
  if (count > BigInt(limit)) throw bad(`${field} is ${count}, the limit is ${limit}`, field, count, limit);
}

/**
 * The library reads through fetch, range after range; it gets one that answers from the source, and never beyond the header's
 * limit. Beside what it finds: the bytes before the tensors' data.
 * @param {import('./sources.js').ByteSource} source
 * @param {AbortSignal | undefined} signal
 */
async function parse(source, signal) {
  const start = new Uint8Array(Math.min(source.size, LIMITS.headerBytes));
  let known = 0;
  /** @type {(first: number, end: number) => Promise<Uint8Array>} */
  const read = async (first, end) => {
    const bytes = await source.read(first, end - first, { signal });
    if (first <= known) {
      start.set(bytes, first);
      known = Math.max(known, end);
    }
    return bytes;
  };
  /** @type {typeof fetch} */
  const fetchRange = async (_url, init) => {
    const [first, last] = /** @type {string} */ (new Headers(init?.headers).get('range')).replace('bytes=', '').split('-').map(Number);
    const end = Math.min(last + 1, source.size, LIMITS.headerBytes);
    if (first >= end) throw bad(`${source.name}: the header ends at byte ${source.size}, before its tables do`, 'size', source.size);
    return new Response(/** @type {BodyInit} */ (await read(first, end)), { status: 206 });
  };
  try {
    const parsed = await gguf('https://source.invalid/model.gguf', { fetch: fetchRange });
    const end = Math.min(Number(parsed.tensorDataOffset), start.length);
    if (end > known) await read(known, end); // padding behind the tables
    return { ...parsed, header: start.subarray(0, end) };
  } catch (cause) {
    if (cause instanceof HalfspaceError) throw cause;
    throw new HalfspaceError('bad-file', `${source.name}: broken GGUF header: ${/** @type {Error} */ (cause).message}`, {
      field: 'header',
      cause,
    });
  }
}

/**
 * @param {import('./sources.js').ByteSource} source
 * @param {{name: string, dtype: number, shape: bigint[], offset: bigint}} info
 * @param {number} dataOffset
 * @returns {GgufTensor}
 */
function checkTensor(source, info, dataOffset) {
  const type = TENSOR_TYPES.get(info.dtype);
  if (!type) {
    throw new HalfspaceError('unsupported', `tensor ${info.name} has type ${info.dtype}, which is not supported`, {
      field: info.name,
      value: info.dtype,
      limit: [...TENSOR_TYPES.values()].map((t) => t.name).join(', '),
    });
  }
  const [cols, rows, ...rest] = [...info.shape.map(Number), 1];
  if (rest.some((n) => n !== 1)) throw bad(`tensor ${info.name} has more than two dimensions`, info.name, info.shape.join('x'), 2);
  if (!(cols > 0 && rows > 0 && Number.isSafeInteger(cols * rows)))
    throw bad(`tensor ${info.name} has the shape ${info.shape.join('x')}`, info.name, info.shape.join('x'));
  if (cols % type.weights !== 0)
    throw bad(`tensor ${info.name}: ${cols} columns are not whole ${type.name} blocks`, info.name, cols, type.weights);
  const offset = dataOffset + Number(info.offset);
  const nbytes = (rows * cols * type.bytes) / type.weights;
  if (!(offset + nbytes <= source.size)) {
    throw bad(
      `${source.name} is truncated: tensor ${info.name} ends at byte ${offset + nbytes} of ${source.size}`,
      info.name,
      offset + nbytes,
      source.size,
    );
  }
  return { name: info.name, type: info.dtype, typeName: type.name, rows, cols, offset, nbytes };
}
