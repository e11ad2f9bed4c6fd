/** Snapshots of an engine's prefixes, alone and as additions: verified, resumed, and continued where that works. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { Engine } from '../../../web/engine.js';
import { inspectSnapshot, verifySnapshot } from '../../../web/snapshot/inspect.js';
import { bytesOf, inPieces } from '../../node/helpers/snapshot-edit.js';
import { models } from '../models.js';
import { worksOrRefuses } from '../oracle.js';
import { damage, damagedBy, fieldsOf, pieceSize } from '../snapshots.js';

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const engine = await Engine.load(models[0], { variant: 'simd' });
  const book = await engine.prefill(Array.from({ length: 170 }, (_, i) => 3 + (i % 250)));
  /** @type {any} */
  let info;
  const first = await bytesOf(book.snapshot({ onInfo: (given) => (info = given) }));
  const chat = await engine.prefill(Array.from({ length: 40 }, (_, i) => 5 + i), { prefix: book }); // prettier-ignore
  const more = await bytesOf(chat.snapshot({ since: info }));
  chat.free();
  book.free();
  const bases = [first, more].map((bytes) => ({ bytes, fields: fieldsOf(bytes) }));
  const resume = async (/** @type {(Uint8Array | ReadableStream)[]} */ sources) => {
    const prefix = await engine.resume(/** @type {any} */ (sources));
    try {
      for await (const _piece of engine.generate([7], { prefix, maxTokens: 1 }));
    } finally {
      prefix.free();
    }
  };
  await resume([first, more]);
  const used = engine.info.memoryBytes;
  return {
    arbitrary: fc.record({ index: fc.nat(1), how: damage, piece: pieceSize }),
    async run({ index, how, piece }) {
      const bytes = await damagedBy(bases[index].bytes, bases[index].fields, how);
      const sources = () => [first, bytes].slice(1 - index).map((one) => (one === bytes ? inPieces(bytes, piece) : one));
      await worksOrRefuses(() => inspectSnapshot(bytes));
      await worksOrRefuses(() => verifySnapshot(sources()));
      await worksOrRefuses(() => resume(sources()));
      assert.equal(engine.info.memoryBytes, used, 'all memory is given back');
    },
    good: () => resume([first, more]),
    close: async () => engine.close(),
  };
}
