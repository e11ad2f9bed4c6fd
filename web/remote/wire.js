/**
 * How a call crosses to a worker and back (client.js, server.js). What cannot be cloned travels as a mark: functions, abort
 * signals, and objects that stay in the worker, which have a handle. Streams are transferred, URLs become text.
 *
 * To the worker: {method, target, args, port}; target is a handle, 0 the engine. On the call's own port from then on
 *   from the worker: {call, args} (of a function of the arguments), {piece}, and at the end {value} or {error}, with {state};
 *   to it: {abort} (number of a signal), {more: 1} (a piece was asked for), {stop: true} (no more is wanted).
 */
import { badArgument, ChunkError, HalfspaceError } from '../errors.js';

/** Pieces of a generator that may be under way: the worker computes no further one until the caller comes back for more. */
export const AHEAD = 4;
/** Calls that may be open at once. */
export const MAX_CALLS = 4096;
/** Abort signals among the arguments of a call. */
export const MAX_SIGNALS = 256;

const MARK = '@halfspace';
/** Key of an object's handle, on the side that the object is not on. */
export const HANDLE = Symbol('handle');

/**
 * @typedef {object} Outgoing what a packed value refers to
 * @property {((...args: any[]) => void)[]} functions
 * @property {AbortSignal[]} signals
 * @property {Transferable[]} transfer
 */

/** @returns {Outgoing} */
export const outgoing = () => ({ functions: [], signals: [], transfer: [] });

/** @param {unknown} value @returns {value is unknown[]} */
const isList = (value) => Array.isArray(value) && typeof value[0] !== 'number';

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isPlain = (value) => typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/**
 * @param {unknown} value argument; plain objects and arrays are looked into, but for arrays of numbers
 * @param {Outgoing} out gains what it refers to
 * @returns {unknown}
 */
export function pack(value, out) {
  if (typeof value === 'function') return { [MARK]: 'function', id: out.functions.push(/** @type {() => void} */ (value)) - 1 };
  if (value instanceof AbortSignal) return { [MARK]: 'signal', id: out.signals.push(value) - 1, aborted: value.aborted };
  if (value instanceof URL) return value.href;
  if (value instanceof ReadableStream || value instanceof WritableStream) out.transfer.push(value);
  if (typeof value === 'object' && value !== null && HANDLE in value) return { [MARK]: 'handle', id: value[HANDLE] };
  if (isList(value)) return value.map((part) => pack(part, out));
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, pack(part, out)]));
}

/**
 * @param {unknown} value as packed
 * @param {Record<string, (mark: any) => unknown>} make what stands for each kind of mark here
 * @returns {unknown}
 */
export function unpack(value, make) {
  if (isList(value)) return value.map((part) => unpack(part, make));
  if (!isPlain(value)) return value;
  if (MARK in value) {
    const kind = String(value[MARK]);
    if (!Object.hasOwn(make, kind)) throw badArgument('mark', `must be one of ${Object.keys(make).join(', ')}`, kind, Object.keys(make));
    return make[kind](value);
  }
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, unpack(part, make)]));
}

/** @param {number} id @param {object} data */
export const handleMark = (id, data) => ({ [MARK]: 'handle', id, data });

/** As it is where it can be cloned, else as text. @param {unknown} value */
function cloneable(value) {
  try {
    return structuredClone(value);
  } catch {
    return String(value);
  }
}

/** @param {unknown} error whatever was thrown */
export function packError(error) {
  if (!(error instanceof HalfspaceError)) return { other: cloneable(error) };
  const { code, message, field, value, limit, cause } = error;
  const details = { field, value: cloneable(value), limit: cloneable(limit), cause: cloneable(cause) };
  return { code, message, details, ...(error instanceof ChunkError && { place: { chunk: error.chunk, offset: error.offset } }) };
}

/** @param {any} packed */
export function unpackError(packed) {
  if ('other' in packed) return packed.other;
  if (typeof packed.code !== 'string' || typeof packed.message !== 'string') throw new TypeError('an error without a code');
  if (!packed.place) return new HalfspaceError(packed.code, packed.message, packed.details);
  return Object.assign(new ChunkError('', { ...packed.place, ...packed.details }), { message: packed.message });
}
