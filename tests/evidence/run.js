// The paper's claims, and what is said against them, measured. `make evidence`, `make evidence-quick`.
//   node tests/evidence/run.js --model M --file TEXT [--quick] [--only names] [--out build/evidence] [--summary docs/evidence.md]
// Each section is written as it ends, so that an evening's work is not lost; the summary is made of all that lie in the folder.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { environment, SIMD } from '../../web/cli/bench/report.js';
import { loadWasm } from '../../web/core/wasm-loader.js';
import { csv, fileNames, markdown, Section } from './section.js';
import { SECTIONS } from './sections/index.js';
import { summary } from './summary.js';

/** @typedef {import('./section.js').Found} Found */

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    file: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: 'build/evidence' },
    summary: { type: 'string' },
  },
});
const { model, file, quick, out } = values;
if (model === undefined || file === undefined) throw new Error('--model and --file are needed');
const chosen = values.only?.split(',') ?? SECTIONS.map(({ name }) => name);
const unknown = chosen.filter((name) => !SECTIONS.some((section) => section.name === name));
if (unknown.length > 0) throw new Error(`--only: there is no ${unknown.join(', ')}, but ${SECTIONS.map(({ name }) => name).join(', ')}`);

const { variant } = await loadWasm();
await mkdir(out, { recursive: true });
for (const { name, title, run } of SECTIONS.filter((section) => chosen.includes(section.name))) {
  const began = performance.now();
  const log = (/** @type {string} */ text) => console.error(`${name}: ${text}`);
  log(title);
  const section = new Section();
  await run(section, { quick, model, file, variant, log });
  log(`${Math.round((performance.now() - began) / 1000)} s`);
  await write({ name, title, command: `make evidence${quick ? '-quick' : ''} SECTIONS=${name}`, ...circumstances(), against: section.against, parts: section.parts }); // prettier-ignore
}
await writeFile(join(out, 'evidence.md'), await summary(out, SECTIONS, { charts: true }));
if (values.summary !== undefined) await writeFile(values.summary, await summary(out, SECTIONS, { charts: false }));

function circumstances() {
  const { machine, runtime } = environment(variant);
  return {
    date: new Date().toISOString().slice(0, 10),
    where: `${machine.cpu}, one thread of ${machine.cores}, ${runtime}, ${SIMD[variant]}`,
  };
}

/** @param {Found} found */
async function write(found) {
  const files = fileNames(found);
  await writeFile(join(out, `${found.name}.json`), `${JSON.stringify(found, null, 1)}\n`);
  const text = `# ${found.title}\n\n${markdown(found)}`;
  await writeFile(join(out, `${found.name}.md`), text);
  for (const [i, part] of found.parts.entries()) {
    if (part.kind === 'table') await writeFile(join(out, files[i]), csv(part.head, part.rows));
    if (part.kind === 'chart') await writeFile(join(out, files[i]), part.svg);
  }
  process.stdout.write(text);
}
