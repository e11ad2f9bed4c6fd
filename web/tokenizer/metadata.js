/** Lists and switches in the metadata of a GGUF file, checked when they are read. */
import { HalfspaceError } from '../errors.js';

/**
 * @param {string} field metadata key
 * @param {string} message
 * @param {unknown} [value]
 * @param {unknown} [limit]
 */
export const badFile = (field, message, value, limit) => new HalfspaceError('bad-file', `${message} (${field})`, { field, value, limit });

/**
 * @param {Record<string, unknown>} metadata
 * @param {string} field
 * @param {number} most UTF-16 units of each
 * @returns {string[]}
 */
export function stringArray(metadata, field, most) {
  const value = metadata[field];
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === 'string')) {
    throw badFile(field, value === undefined ? 'The file has no such list' : 'Not a list of strings');
  }
  const longest = value.reduce((length, text) => Math.max(length, text.length), 0);
  if (longest > most) throw badFile(field, `A text of ${longest} UTF-16 units, the limit is ${most}`, longest, most);
  return value;
}

/**
 * @param {Record<string, unknown>} metadata
 * @param {string} field
 * @param {number} count entries needed
 * @returns {ArrayLike<number> | undefined} undefined when the file has none
 */
export function numberArray(metadata, field, count) {
  const value = metadata[field];
  if (value === undefined) return undefined;
  // A list of no numbers is one of texts, too.
  const numbers = ArrayBuffer.isView(value) || Array.isArray(value) ? /** @type {ArrayLike<unknown>} */ (value) : [];
  if (numbers.length < count) throw badFile(field, `${numbers.length} entries for ${count} tokens`, numbers.length, count);
  for (let i = 0; i < count; i++)
    if (typeof numbers[i] !== 'number') throw badFile(field, `Entry ${i} is not a number of 32 bits`, numbers[i]);
  return /** @type {ArrayLike<number>} */ (numbers);
}

/**
 * @param {Record<string, unknown>} metadata
 * @param {string} field
 * @param {boolean} otherwise when the file does not say
 */
export function flag(metadata, field, otherwise) {
  const value = metadata[field] ?? otherwise;
  if (typeof value !== 'boolean') throw badFile(field, 'Not true or false', value);
  return value;
}
