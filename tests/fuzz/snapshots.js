/** Damage to snapshots: of their bytes, or of what they say, with checksums that are right. */
import fc from 'fast-check';

import { HEAD_BYTES, START_BYTES } from '../../web/snapshot/format.js';
import { putTogether, takeApart } from '../node/helpers/snapshot-edit.js';
import { anyValue, limitNumber, mutated, mutations } from './mutate.js';

const PATHS = ['kind', 'base', 'model', 'kv', 'tokens', 'dropped', 'layout', 'valueNorms', 'rope', 'shape', 'index'].map((name) => [name]);
PATHS.push(['shape', 'layers'], ['shape', 'kvHeads'], ['shape', 'headDim'], ['index', 'maxChunk'], ['index', 'leaf'], ['rope', 'theta']);
PATHS.push(['layout', '0'], ['layout', '0', '0'], ['layout', '0', '0', '0'], ['layout', '0', '0', '1'], ['valueNorms', '0']);
const HEAD = ['type', 'layer', 'kvHead', 'part', 'first', 'keys', 'position'];

const said = fc.oneof(
  anyValue,
  limitNumber.map(Number),
  fc.integer({ min: -1, max: 300 }),
  fc.constantFrom('context', 'cache', 'index', 'q8', 'f32', 128),
);

export const damage = fc.oneof(
  fc.record({ bytes: mutations }),
  fc.record({ header: fc.array(fc.tuple(fc.constantFrom(...PATHS), said), { minLength: 1, maxLength: 2 }) }),
  fc.record({
    head: fc.tuple(
      fc.nat(),
      fc.constantFrom(...HEAD),
      limitNumber.map((n) => Number(n & 0xffff_ffffn)),
    ),
  }),
  fc.record({ payload: fc.tuple(fc.nat(), mutations) }),
  fc.record({ order: fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('drop', 'double', 'swap')) }),
);

/** Bytes of the pieces that a snapshot comes in; mostly long ones, as each costs time. */
export const pieceSize = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 200, max: 20_000 }) }, fc.integer({ min: 1, max: 200 }));

/** Offsets of the numbers in heads. @param {Uint8Array} bytes */
export function fieldsOf(bytes) {
  const heads = takeApart(bytes).map(({ offset }) => offset);
  return [8, 12, ...heads.flatMap((at) => Array.from({ length: HEAD_BYTES / 4 }, (_, i) => at + 4 * i)), START_BYTES + HEAD_BYTES];
}

/** @param {any} object @param {string[]} path @param {unknown} value */
function put(object, path, value) {
  const inner = path.slice(0, -1).reduce((part, name) => (typeof part === 'object' && part !== null ? part[name] : undefined), object);
  if (typeof inner === 'object' && inner !== null) inner[path[path.length - 1]] = value;
}

/** @param {unknown} _key @param {unknown} value */
const writable = (_key, value) => (typeof value === 'bigint' ? Number(value) : value);

/**
 * @param {Uint8Array} bytes a valid snapshot
 * @param {number[]} fields
 * @param {any} how of `damage`
 * @returns {Promise<Uint8Array>}
 */
export async function damagedBy(bytes, fields, how) {
  if (how.bytes) return mutated(bytes, fields, how.bytes);
  const parts = takeApart(bytes);
  if (how.header) {
    const header = JSON.parse(Buffer.from(parts[0].payload).toString());
    for (const [path, value] of how.header) put(header, path, value);
    parts[0].payload = new Uint8Array(Buffer.from(JSON.stringify(header, writable)));
  } else if (how.head) {
    const [record, name, value] = how.head;
    const { head } = parts[record % parts.length];
    Object.assign(head, { [name]: value });
  } else if (how.payload) {
    const [record, list] = how.payload;
    const part = parts[record % parts.length];
    part.payload = mutated(
      part.payload,
      Array.from({ length: part.payload.length >> 2 }, (_, i) => 4 * i),
      list,
    );
  } else {
    const [a, b, kind] = how.order;
    const [from, to] = [a % parts.length, b % parts.length];
    if (kind === 'swap') [parts[from], parts[to]] = [parts[to], parts[from]];
    else parts.splice(from, kind === 'drop' ? 1 : 0, ...(kind === 'drop' ? [] : [parts[to]]));
  }
  return putTogether(bytes, parts);
}
