/** Whole GGUF files: loaded into the core, and two tokens generated where that works. */
import { readFile } from 'node:fs/promises';

import fc from 'fast-check';

import { Engine } from '../../../web/engine.js';
import { headerFields, models } from '../models.js';
import { mutated, mutations } from '../mutate.js';
import { worksOrRefuses } from '../oracle.js';

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const simd = await WebAssembly.compile(await readFile(new URL('../../../build/halfspace.simd.wasm', import.meta.url)));
  const run = async (/** @type {Uint8Array} */ bytes) => {
    const engine = await Engine.load(bytes, { variant: 'simd', wasm: { simd }, maxMemoryBytes: 64 << 20 });
    try {
      for await (const _piece of engine.generate('the', { maxTokens: 2, ctx: 64 }));
    } finally {
      engine.close();
    }
  };
  const bases = models.map((file) => ({ file, ...headerFields(file) }));
  return {
    arbitrary: fc.tuple(fc.nat(bases.length - 1), mutations),
    async run([index, list]) {
      const { file, fields, end } = bases[index];
      // Mutations lie in the header, what is behind moves along.
      const bytes = new Uint8Array(Buffer.concat([mutated(file.subarray(0, end), fields, list), file.subarray(end)]));
      await worksOrRefuses(() => run(bytes));
    },
    async good() {
      await run(models[0]);
    },
  };
}
