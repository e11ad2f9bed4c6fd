/** Headers of GGUF files, byte by byte: parser, configuration and tokenizer. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { modelConfig } from '../../../web/model/config.js';
import { readGguf } from '../../../web/model/gguf.js';
import { createTokenizer } from '../../../web/tokenizer/tokenizer.js';
import { headerFields, memorySource, models } from '../models.js';
import { mutated, mutations } from '../mutate.js';
import { worksOrRefuses } from '../oracle.js';

/** @param {Uint8Array} header @param {number} size */
async function read(header, size) {
  const file = await readGguf(memorySource(header, size));
  const config = modelConfig(file);
  assert.ok(Number.isSafeInteger(config.nLayers * config.dim * config.vocab));
  for (const { offset, nbytes, rows, cols } of file.tensors) assert.ok(offset > 0 && offset + nbytes <= size && rows > 0 && cols > 0);
  const tokenizer = createTokenizer(file.metadata);
  tokenizer.decode(tokenizer.encode('the <|im_end|> cat\n', { parseSpecial: true }));
}

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const bases = models.map((file) => {
    const { fields, end } = headerFields(file);
    return { header: file.subarray(0, end), fields, size: file.length };
  });
  return {
    arbitrary: fc.tuple(fc.nat(bases.length - 1), mutations),
    async run([index, list]) {
      const { header, fields, size } = bases[index];
      const bytes = mutated(header, fields, list);
      await worksOrRefuses(() => read(bytes, size + bytes.length - header.length));
    },
    async good() {
      for (const { header, size } of bases) await read(header, size);
    },
  };
}
