/** Checks of errors, for assert.rejects() and assert.throws(). */
import { HalfspaceError } from '../../../web/errors.js';

/**
 * @param {string} code
 * @param {string} [field] any when left out; so with value
 * @param {unknown} [value]
 */
export const failure = (code, field, value) => (/** @type {unknown} */ error) =>
  error instanceof HalfspaceError &&
  error.code === code &&
  (field === undefined || error.field === field) &&
  (value === undefined || Object.is(error.value, value));
