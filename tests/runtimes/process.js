/** Runs the suite in Node.js, Deno or Bun. Arguments: a setting as JSON; writes the results as JSON. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import process from 'node:process';

import * as attention from '../../web/attention.js';
import * as engine from '../../web/node.js';
import { runSuites } from '../suites/index.js';

const { path, url, allowed } = JSON.parse(process.argv[2]);
const folder = await mkdtemp(join(dirname(path), 'store-'));
const results = await runSuites({
  halfspace: { ...engine, ...attention },
  build: { variant: 'simd' },
  relaxed: { variant: 'relaxed' },
  model: new Uint8Array(await readFile(path)),
  url,
  path,
  folder,
  allowed,
});
await rm(folder, { recursive: true });
process.stdout.write(JSON.stringify(results));
