/** Errors in words, with what to do. */

/**
 * @typedef {import('../web/errors.js').HalfspaceError} HalfspaceError
 * @typedef {import('../web/errors.js').ErrorCode} ErrorCode
 * @typedef {object} Words
 * @property {string} title what happened
 * @property {string} advice what to do
 * @property {boolean} again whether the same may well succeed the next time
 */

/** @type {Record<ErrorCode, Words>} */
const WORDS = {
  'bad-argument': {
    title: 'One of the values does not fit.',
    advice: 'Change it (most are under Settings) and try again.',
    again: true,
  },
  'bad-file': {
    title: 'This file is not what it should be, or it is damaged.',
    advice: 'Choose another file: models are GGUF files, whose names end in .gguf.',
    again: false,
  },
  unsupported: {
    title: 'This is not supported here.',
    advice: 'Choose another model or setting. “This machine” below says what this browser offers.',
    again: false,
  },
  'out-of-memory': {
    title: 'There is not enough memory.',
    advice:
      'Your document is kept. Close other tabs, choose a smaller context or the q8 cache under Settings, or take a smaller model. Starting the engine again frees what it holds.',
    again: true,
  },
  'context-full': {
    title: 'The context is full: document, questions and answers no longer fit together.',
    advice: 'Open the document anew to forget the questions, or choose a larger context under Settings.',
    again: false,
  },
  aborted: { title: 'Stopped.', advice: 'What was there before is as it was. A download goes on from what has arrived.', again: true },
  io: {
    title: 'Something could not be read.',
    advice: 'Check the address and the connection, then try again. What was downloaded already is kept.',
    again: true,
  },
  checksum: {
    title: 'What arrived is not what was to arrive: its checksum differs.',
    advice: 'It was thrown away. Try again; if it happens once more, the file on the server is another one.',
    again: true,
  },
  closed: {
    title: 'The engine has stopped.',
    advice: 'It can be started again; your document is kept.',
    again: true,
  },
  'no-simd': {
    title: 'This browser has no WebAssembly SIMD, which the engine needs.',
    advice: 'Use a current version of Chrome, Edge, Firefox or Safari.',
    again: false,
  },
  quota: {
    title: 'This browser gives the page no more storage.',
    advice: 'Delete stored models or texts, or free space on the disk. Everything works without being stored.',
    again: true,
  },
  'not-found': { title: 'It is no longer there.', advice: 'It was deleted, perhaps in another tab. Open or load it again.', again: false },
  'bad-chunk': {
    title: 'A saved state is damaged.',
    advice: 'Nothing of it was used. Open the document anew: its text is read again.',
    again: false,
  },
  'worker-lost': {
    title: 'The engine was ended by the browser, most likely for want of memory.',
    advice: 'It can be started again; your document is kept.',
    again: true,
  },
};

/** @type {Words} */
const UNKNOWN = {
  title: 'Something went wrong that should not have.',
  advice: 'Reload the page; stored models and texts stay.',
  again: true,
};

/** What is better said by what was at fault. @type {Record<string, Partial<Words>>} */
const CASES = {
  'io status 404': { title: 'There is no such file at this address.', advice: 'Check the address: it must lead to the .gguf file itself.' },
  'io status 401': {
    title: 'The server asks for a login.',
    advice: 'Take a model that is open to everyone, or download the file and choose it here.',
  },
  'io status 403': {
    title: 'The server refuses to give this file.',
    advice: 'Take another model, or download the file and choose it here.',
  },
  'io connection': {
    title: 'The server cannot be reached.',
    advice:
      'Check the connection and the address. A server may also refuse pages of other sites; then download the file and choose it here.',
  },
  'unsupported threads': { advice: 'Set threads to “auto” under Settings: one thread always works.' },
};

/**
 * @param {HalfspaceError} error
 * @returns {Words & {error: HalfspaceError}}
 */
export function explain(error) {
  const { code, field, value } = error;
  const words = WORDS[code] ?? UNKNOWN;
  const special = CASES[`${code} ${field} ${value}`] ?? CASES[`${code} ${field}`];
  return { ...words, ...special, error };
}
