/** Figures of the documentation, of a small model of random weights. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { figures } from '../evidence/figures.js';
import { randomModel } from './helpers/random-model.js';

test('every figure is written, with what it shows in it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  try {
    const model = join(folder, 'model.gguf');
    await writeFile(model, randomModel({ arch: 'llama', metadata: { context_length: 1024 } }));
    const file = fileURLToPath(new URL('../../demo/documents/constitution.txt', import.meta.url));
    const files = await figures({ model, file, ctx: 600, steps: 2, out: join(folder, 'figures') });
    const svg = Object.fromEntries(await Promise.all(files.map(async (path) => [basename(path), await readFile(path, 'utf8')])));
    assert.deepEqual(Object.keys(svg), ['mass-by-layer.svg', 'one-query.svg', 'screened-estimates.svg', 'far-field.svg']);
    for (const [name, text] of Object.entries(svg)) {
      assert.match(text, /^<svg [^]*<\/svg>\n$/, name);
      assert.doesNotMatch(text, /NaN|Infinity|undefined/, name);
    }
    assert.equal(svg['mass-by-layer.svg'].match(/<circle/g)?.length, 3 * 2); // three shares in two layers
    assert.equal(svg['far-field.svg'].match(/<circle/g)?.length, 3 * 7); // three ways at seven thresholds
    const kinds = Array.from(svg['one-query.svg'].matchAll(/>(\d+) (?:exact|opened|closed)/g), ([, n]) => Number(n));
    assert.equal(kinds.length, 4);
    assert.equal(kinds.reduce((a, b) => a + b), 600); // prettier-ignore
    const [, screened] = /4-bit estimates of (\d+) keys/.exec(svg['screened-estimates.svg']) ?? [];
    const sealed = 4 * 128; // whole chunks of what is neither the sink's 16 keys nor the newest 32
    assert.ok(Number(screened) > sealed / 2 && Number(screened) <= sealed, screened);
  } finally {
    await rm(folder, { recursive: true });
  }
});
