/** Chunks that are streamed into caches and indexes, with queries on what has come. */
import fc from 'fast-check';

import { attend, HsrIndex, KvCache } from '../../../web/attention.js';
import { seededRandom } from '../../node/helpers/random.js';
import { bytesOf, inPieces } from '../../node/helpers/snapshot-edit.js';
import { worksOrRefuses } from '../oracle.js';
import { damage, damagedBy, fieldsOf, pieceSize } from '../snapshots.js';

const ROWS = 400;

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const random = seededRandom(5);
  const numbers = (/** @type {number} */ n) => Float32Array.from({ length: n }, () => random() - 0.5);
  const caches = await Promise.all(
    /** @type {const} */ (['q8', 'f32']).map((type) => KvCache.create({ headDim: 16, kvHeads: 2, type, maxChunk: 128 })),
  );
  for (const cache of caches) cache.append({ keys: numbers(ROWS * 32), values: numbers(ROWS * 32) });
  caches[1].remove(20, 90);
  const index = await HsrIndex.create({ headDim: 16, keys: numbers(ROWS * 16) });
  const bases = [];
  for (const held of [...caches, index]) {
    const bytes = await bytesOf(held.readable());
    bases.push({ bytes, fields: fieldsOf(bytes) });
  }
  const empty = [
    () => KvCache.create({ headDim: 16, kvHeads: 2, type: 'q8', maxChunk: 128 }),
    () => KvCache.create({ headDim: 16, kvHeads: 2, type: 'f32', maxChunk: 128 }),
    () => HsrIndex.create({ headDim: 16 }),
  ];
  const query = numbers(32);
  const fill = async (/** @type {number} */ which, /** @type {Uint8Array} */ bytes, /** @type {number} */ piece) => {
    const held = await empty[which]();
    try {
      await worksOrRefuses(() => inPieces(bytes, piece).pipeTo(held.writable()));
      await worksOrRefuses(() =>
        held instanceof KvCache ? attend(held, query, { strength: 'certified' }) : held.report(query.subarray(0, 16), 0),
      );
      if (held instanceof KvCache) held.append({ keys: query, values: query });
      else held.append(query.subarray(0, 16));
    } finally {
      held.free();
    }
  };
  return {
    arbitrary: fc.record({ which: fc.nat(2), how: damage, piece: pieceSize }),
    async run({ which, how, piece }) {
      await fill(which, await damagedBy(bases[which].bytes, bases[which].fields, how), piece);
    },
    async good() {
      for (const [which, { bytes }] of bases.entries()) {
        const held = await empty[which]();
        await inPieces(bytes, 1000).pipeTo(held.writable());
        if (held.length !== ROWS) throw new Error(`${held.length} rows came`);
        held.free();
      }
    },
  };
}
