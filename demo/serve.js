/** Serves the demo, cross-origin isolated. `--port N`, default 8080. */
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import sirv from 'sirv';

import { pullModel } from '../web/cli/pull.js';
import { buildSite } from './site.js';

const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' }, folder: { type: 'string' } } });
const folder = await buildSite(process.env.HALFSPACE_TEST_MODEL ?? (await pullModel('smollm2')), values.folder);
const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const serve = sirv(folder, {
  dev: true,
  setHeaders: (response) => Object.entries(headers).forEach(([name, value]) => response.setHeader(name, value)),
});
const server = createServer((request, response) => serve(request, response, () => void response.writeHead(404).end('not found\n')));
server.listen(Number(values.port), () => {
  process.stdout.write(`Halfspace demo: http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/\n`);
});
