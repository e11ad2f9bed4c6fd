/**
 * Serves the demo, cross-origin isolated. `--port N`, default 8080. It serves at once; snapshots of the shipped documents that are missing
 * are made meanwhile. `--tokens N`: most of each document, for tests; 0: no snapshots. `--no-isolation`: without the headers, as hosts that cannot
 * send any; the page's service worker then adds them.
 */
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import sirv from 'sirv';

import { pullModel } from '../web/cli/pull.js';
import { prepareSnapshots } from './shipped.js';
import { buildSite } from './site.js';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    folder: { type: 'string' },
    tokens: { type: 'string' },
    'no-isolation': { type: 'boolean' },
  },
});
const model = process.env.HALFSPACE_TEST_MODEL ?? (await pullModel('smollm2'));
const folder = await buildSite(model, { folder: values.folder });
const tokens = values.tokens === undefined ? undefined : Number(values.tokens);
const snapshots = await prepareSnapshots(folder, model, { tokens, low: true });
snapshots.done.catch((/** @type {Error} */ error) => process.stderr.write(`${error.message}\n`));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(0));
const headers = values['no-isolation']
  ? {}
  : { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const serve = sirv(folder, {
  dev: true,
  setHeaders: (response) => Object.entries(headers).forEach(([name, value]) => response.setHeader(name, value)),
});
const server = createServer((request, response) => serve(request, response, () => void response.writeHead(404).end('not found\n')));
server.listen(Number(values.port), () => {
  process.stdout.write(`Halfspace demo: http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/\n`);
});
