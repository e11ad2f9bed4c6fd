/** Texts of the user's own: what is taken, from where, and what is refused. */
import { HalfspaceError } from 'halfspace';

/** Of UTF-8. The model reads the beginning alone: more is of no use. */
export const MAX_TEXT_BYTES = 1_000_000;
const MAX_TITLE = 60;
const NAMES = /\.(txt|text|md|markdown)$/i;

/** @param {string} message @param {{field: string, value: unknown, limit: unknown, cause?: unknown}} details */
const refused = (message, details) => new HalfspaceError('bad-argument', message, details);

/**
 * @param {string} text
 * @throws {HalfspaceError}
 */
export function checkText(text) {
  if (text.trim() === '') throw refused('There is no text in it.', { field: 'text', value: text.length, limit: 1 });
  checkBytes('The text', new TextEncoder().encode(text).length);
}

/**
 * @param {File} file
 * @returns {Promise<{title: string, text: string}>}
 * @throws {HalfspaceError}
 */
export async function readTextFile(file) {
  const { name } = file;
  if (!NAMES.test(name))
    throw refused(`${name} is no plain text: .txt and .md files can be read.`, { field: 'file', value: name, limit: '.txt, .md' });
  checkBytes(name, file.size);
  const bytes = await file.arrayBuffer();
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refused(`${name} is not UTF-8 text. Save it as UTF-8 and try again.`, { field: 'file', value: name, limit: 'UTF-8', cause });
  }
  if (text.includes('\0')) throw refused(`${name} is no text: it has zero bytes.`, { field: 'file', value: name, limit: 'UTF-8' });
  checkText(text);
  return { title: name.slice(0, MAX_TITLE), text };
}

/** What a pasted text is called: its first words. @param {string} text */
export function titleOf(text) {
  const line = text.trim().split('\n', 1)[0].trim();
  return line.length <= MAX_TITLE ? line : `${line.slice(0, MAX_TITLE - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** @param {string} what @param {number} bytes */
function checkBytes(what, bytes) {
  if (bytes > MAX_TEXT_BYTES)
    throw refused(`${what} has ${bytes.toLocaleString('en')} bytes; at most ${MAX_TEXT_BYTES.toLocaleString('en')} are taken.`, {
      field: 'text',
      value: bytes,
      limit: MAX_TEXT_BYTES,
    });
}
