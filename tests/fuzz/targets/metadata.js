/** Metadata of any types and values: configuration and tokenizer, and texts through it. */
import fc from 'fast-check';

import { modelConfig } from '../../../web/model/config.js';
import { readGguf } from '../../../web/model/gguf.js';
import { createTokenizer } from '../../../web/tokenizer/tokenizer.js';
import { memorySource, models } from '../models.js';
import { anyValue } from '../mutate.js';
import { worksOrRefuses } from '../oracle.js';

const piece = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.constantFrom('<|im_end|>', '<s>', '</s>', '<0x0A>', 't', 'h', 'e', 'th', '\u2581', '\ufdd0'),
);
const typed = fc.oneof(
  anyValue,
  fc.array(piece, { maxLength: 40 }),
  fc.array(fc.integer({ min: -2, max: 8 }), { maxLength: 60 }).map((list) => Int32Array.from(list)),
  fc.array(fc.bigInt(0n, 9n), { maxLength: 60 }).map((list) => BigUint64Array.from(list)),
  fc.array(fc.double(), { maxLength: 60 }).map((list) => Float64Array.from(list)),
);

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const files = await Promise.all(models.map((file) => readGguf(memorySource(file))));
  const read = (/** @type {any} */ file, text = 'the cat') => {
    modelConfig(file);
    const tokenizer = createTokenizer(file.metadata);
    const protectedText = tokenizer.protect(text);
    for (const parseSpecial of [false, true]) tokenizer.decode(tokenizer.encode(protectedText, { parseSpecial }));
    return tokenizer;
  };
  const names = [...new Set(files.flatMap(({ metadata }) => Object.keys(metadata)))].filter((name) => name !== 'general.architecture');
  const more = ['add_bos_token', 'add_eos_token', 'add_space_prefix', 'pre', 'fim_pad_token_id', 'eot_token_id'].map(
    (name) => `tokenizer.ggml.${name}`,
  );
  return {
    arbitrary: fc.record({
      index: fc.nat(files.length - 1),
      changes: fc.array(fc.tuple(fc.constantFrom(...names, ...more), typed), { minLength: 1, maxLength: 3 }),
      text: fc.array(piece, { maxLength: 20 }).map((parts) => parts.join('')),
    }),
    async run({ index, changes, text }) {
      const metadata = Object.assign(Object.create(null), files[index].metadata, Object.fromEntries(changes));
      await worksOrRefuses(() => read({ ...files[index], metadata }, text));
    },
    async good() {
      for (const file of files) read(file);
    },
  };
}
