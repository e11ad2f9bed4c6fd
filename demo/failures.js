/** Errors in words, with what to do. */

/**
 * @param {import('../web/errors.js').HalfspaceError} error
 * @returns {{title: string, advice: string, error: import('../web/errors.js').HalfspaceError}}
 */
export function explain(error) {
  return { title: error.message, advice: '', error };
}
