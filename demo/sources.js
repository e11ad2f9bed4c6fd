/** Documents as they are opened, of the shipped ones and of the user's own. */
import { HalfspaceError } from 'halfspace';

import { shownPart } from './prompt.js';

/**
 * @typedef {import('./reading.js').Readable} Readable
 * @typedef {import('./shipped.js').Listed} Listed
 */

/** Of any text. */
const QUESTIONS = ['What is this text about?', 'Who is mentioned in this text?'];

/** @param {import('./library.js').Own} own @param {import('./library.js').Library} library @returns {Readable} */
export function ownSource(own, library) {
  const { id, title, text, made, bytes } = own;
  return { id, title, questions: QUESTIONS, text: async () => text, made, bytes, snapshot: () => library.open(own) };
}

/** @param {Listed} shipped @returns {Readable} */
export function shippedSource({ id, title, questions, file, end, snapshot }) {
  return {
    id,
    title,
    questions,
    text: async (signal) => shownPart(await (await get(file, signal)).text(), end),
    made: snapshot && { ...snapshot, system: '' },
    bytes: snapshot?.bytes,
    snapshot: async (signal) => {
      const { body } = await get(/** @type {{file: string}} */ (snapshot).file, signal);
      return /** @type {ReadableStream<Uint8Array>} */ (body);
    },
  };
}

/** @param {string} url @param {AbortSignal} signal */
async function get(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    if (signal.aborted) throw new HalfspaceError('aborted', 'aborted by the caller', { cause });
    throw new HalfspaceError('io', `${url}: ${/** @type {Error} */ (cause).message}`, { field: 'url', value: url, cause });
  }
  if (response.ok) return response;
  throw new HalfspaceError('io', `${url}: the server answers ${response.status}`, { field: 'url', value: response.status, limit: 200 });
}
