/** Rows of numbers in the types callers have: f32, f16, or int8 with scales. */
import { badArgument } from '../errors.js';

/**
 * @typedef {Uint16Array | (ArrayBufferView & {readonly BYTES_PER_ELEMENT: number, readonly length: number})} F16Array the bits
 *   of f16 numbers in a Uint16Array, or a Float16Array
 * @typedef {{values: Int8Array, scales: Float32Array}} ScaledInt8 number i of vector v is values[v * headDim + i] * scales[v]
 * @typedef {Float32Array | F16Array | ScaledInt8} Rows vectors of headDim numbers, end to end
 *
 * @typedef {object} Vectors
 * @property {'f32' | 'f16' | 'i8'} type
 * @property {Float32Array | Uint16Array | Int8Array} values
 * @property {Float32Array} [scales] one per vector, of i8
 * @property {number} dims numbers per vector
 * @property {number} count vectors
 * @property {string} field what errors call them
 */

const TYPES = 'Float32Array, Uint16Array (f16), Float16Array, or {values: Int8Array, scales: Float32Array}';

/** @param {unknown} rows @returns {Pick<Vectors, 'type' | 'values' | 'scales'> | undefined} */
function typed(rows) {
  if (rows instanceof Float32Array) return { type: 'f32', values: rows };
  if (rows instanceof Uint16Array) return { type: 'f16', values: rows };
  if (ArrayBuffer.isView(rows) && Object.prototype.toString.call(rows) === '[object Float16Array]')
    return { type: 'f16', values: new Uint16Array(rows.buffer, rows.byteOffset, rows.byteLength / 2) };
  const { values, scales } = /** @type {Partial<ScaledInt8>} */ (rows ?? {});
  return values instanceof Int8Array && scales instanceof Float32Array ? { type: 'i8', values, scales } : undefined;
}

/**
 * Checks type and length, without looking at the numbers.
 * @param {Rows} rows
 * @param {number} dims
 * @param {string} field
 * @param {number} [multiple] the number of vectors must be a multiple of this
 * @returns {Vectors}
 */
export function vectorsOf(rows, dims, field, multiple = 1) {
  const found = typed(rows);
  if (!found) throw badArgument(field, `must be ${TYPES}`, rows, TYPES);
  const { values, scales } = found;
  const count = values.length / dims;
  if (!Number.isInteger(count / multiple))
    throw badArgument(field, `must have a multiple of ${multiple * dims} numbers, not ${values.length}`, values.length, multiple * dims);
  if (scales && scales.length !== count)
    throw badArgument(`${field}.scales`, `must have one scale per vector, ${count}, not ${scales.length}`, scales.length, count);
  return { ...found, dims, count, field };
}
