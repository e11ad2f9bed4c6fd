/** Assertions for any runtime: node:assert is Node's alone. */

/** What a runtime does not offer; the case has shown that saying so is all that happens. */
export class NotAllowed extends Error {}

/** @param {unknown} value @returns {string} */
const show = (value) => {
  const text =
    typeof value === 'bigint'
      ? `${value}n`
      : (JSON.stringify(ArrayBuffer.isView(value) ? Array.from(/** @type {any} */ (value)) : value) ?? String(value));
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
};

/**
 * @param {unknown} condition
 * @param {string} what
 * @returns {asserts condition}
 */
export function ok(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
}

/** Equal numbers, strings, or lists of them; typed arrays count as lists. @param {unknown} actual @param {unknown} expected @param {string} [what] */
export function equal(actual, expected, what = 'value') {
  const [a, b] = [actual, expected].map((x) => (ArrayBuffer.isView(x) ? Array.from(/** @type {any} */ (x)) : x));
  const same = Array.isArray(a) && Array.isArray(b) ? a.length === b.length && a.every((x, i) => Object.is(x, b[i])) : Object.is(a, b);
  if (!same) throw new Error(`${what}: ${show(actual)}, expected ${show(expected)}`);
}

/**
 * The call fails with a HalfspaceError of this code and field, and with this value and limit where they are given.
 * @param {any} halfspace
 * @param {() => unknown} call may return a promise
 * @param {{code: string, field?: string, value?: unknown, limit?: unknown}} expected
 * @returns {Promise<any>} the error
 */
export async function fails(halfspace, call, expected) {
  let error = /** @type {any} */ (undefined);
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  ok(error !== undefined, `${call} fails`);
  if (!(error instanceof halfspace.HalfspaceError)) throw error;
  for (const [key, value] of Object.entries(expected)) equal(error[key], value, `${key} of "${error.message}"`);
  return error;
}

/** FNV-1a of the bytes: equal where every bit is. @param {ArrayBufferView} numbers */
export function fingerprint(numbers) {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength))
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}

/** @param {AsyncIterable<{id: number, text: string}>} pieces */
export async function collect(pieces) {
  const all = { ids: /** @type {number[]} */ ([]), text: '' };
  for await (const { id, text } of pieces) {
    all.ids.push(id);
    all.text += text;
  }
  return all;
}
