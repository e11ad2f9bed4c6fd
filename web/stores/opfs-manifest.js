/**
 * The pointer file of an OPFS store: which data file is the content of which name. The origin private file system cannot replace a file
 * at once everywhere, so there are two slots, written in turn: SHA-256 of what follows in hexadecimal, a line feed, and JSON with a sequence
 * number. A slot whose write was cut has another checksum, and the one before it counts.
 */
import { HalfspaceError } from '../errors.js';
import { openWriter } from './opfs-file.js';
import { sha256OfText } from '../bytes/sha256.js';

const VERSION = 1;
export const SLOTS = ['slot-0', 'slot-1'];

/**
 * @typedef {import('./store.js').Entry & {file: string}} Pointed
 * @typedef {{sequence: number, entries: Map<string, Pointed>}} Manifest
 */

/**
 * @param {FileSystemDirectoryHandle} directory
 * @returns {Promise<Manifest>}
 */
export async function readManifest(directory) {
  const slots = await Promise.all(SLOTS.map((slot) => readSlot(directory, slot)));
  const whole = slots.filter((slot) => typeof slot === 'object').sort((a, b) => b.sequence - a.sequence);
  if (whole.length > 0) return whole[0];
  // The first write of all may have been cut: nothing was put yet. Two slots are never written at the same time.
  if (slots.every((slot) => slot === 'cut'))
    throw new HalfspaceError('checksum', `${directory.name}: neither ${SLOTS.join(' nor ')} is whole`, {
      field: 'slot',
      value: slots.length,
    });
  return { sequence: 0, entries: new Map() };
}

/**
 * @param {FileSystemDirectoryHandle} directory
 * @param {Manifest} manifest as read, with other entries
 */
export async function writeManifest(directory, { sequence, entries }) {
  const next = sequence + 1;
  const body = JSON.stringify({ version: VERSION, sequence: next, entries: [...entries] });
  const handle = await directory.getFileHandle(SLOTS[next % SLOTS.length], { create: true });
  const writer = await openWriter(handle);
  try {
    await writer.write(new TextEncoder().encode(`${sha256OfText(body)}\n${body}`));
    await writer.close();
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
  }
}

/**
 * @param {FileSystemDirectoryHandle} directory
 * @param {string} slot
 * @returns {Promise<Manifest | 'none' | 'cut'>}
 */
async function readSlot(directory, slot) {
  let text;
  try {
    text = await (await (await directory.getFileHandle(slot)).getFile()).text();
  } catch (error) {
    if (/** @type {Error} */ (error).name === 'NotFoundError') return 'none';
    throw error;
  }
  const end = text.indexOf('\n');
  const body = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== sha256OfText(body)) return 'cut';
  const { version, sequence, entries } = JSON.parse(body);
  if (version !== VERSION)
    throw new HalfspaceError('unsupported', `${directory.name}: a store of version ${version}, this reads ${VERSION}`, {
      field: 'version',
      value: version,
      limit: VERSION,
    });
  return { sequence, entries: new Map(entries) };
}
