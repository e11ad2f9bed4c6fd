/** Checks of arguments: one of some names, an integer in a range, an object of options. */
import { badArgument } from './errors.js';

/** A value in a message: not everything can be made text. @param {unknown} value */
export const shown = (value) => (typeof value === 'object' && value !== null ? 'an object' : String(value));

/**
 * @template {string} K
 * @param {string} field
 * @param {unknown} value
 * @param {Record<K, number>} names
 * @returns {number} what the name stands for
 */
export function checkName(field, value, names) {
  const all = Object.keys(names).join(', ');
  if (!(typeof value === 'string' && Object.hasOwn(names, value)))
    throw badArgument(field, `must be one of ${all}, not ${shown(value)}`, value, all);
  return names[/** @type {K} */ (value)];
}

/**
 * @param {string} field
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @returns {number} the value
 */
export function checkInteger(field, value, least, most) {
  if (!(typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most))
    throw badArgument(
      field,
      `must be an integer from ${least} to ${most}, not ${shown(value)}`,
      value,
      typeof value === 'number' && value < least ? least : most,
    );
  return value;
}

/**
 * @template {object} T
 * @param {string} field
 * @param {T} value options
 * @returns {T}
 */
export function checkOptions(field, value) {
  if (typeof value !== 'object' || value === null) throw badArgument(field, 'must be an object', value, 'object');
  return value;
}
