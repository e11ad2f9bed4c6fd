/** Serves the demo: page, package, WebAssembly, and the model from the cache, cross-origin isolated. `--port N`, default 8080. */
import { createServer } from 'node:http';
import { dirname, basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import sirv from 'sirv';

import { pullModel } from '../web/cli/pull.js';

const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' } } });
const model = process.env.HALFSPACE_TEST_MODEL ?? (await pullModel('smollm2'));
const root = fileURLToPath(new URL('..', import.meta.url));
const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const setHeaders = (/** @type {import('node:http').ServerResponse} */ response) => {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
};
const folders = Object.fromEntries(['demo', 'build', 'web'].map((name) => [name, sirv(`${root}${name}`, { dev: true, setHeaders })]));
const models = sirv(dirname(model), { dev: true, setHeaders });

const server = createServer((request, response) => {
  const notFound = () => {
    response.statusCode = 404;
    response.end('not found\n');
  };
  const [, folder, ...rest] = new URL(request.url ?? '/', 'http://localhost').pathname.split('/');
  if (folder === 'model.gguf') {
    request.url = `/${encodeURIComponent(basename(model))}`;
    models(request, response, notFound);
  } else if (folder === '') {
    request.url = '/index.html';
    folders.demo(request, response, notFound);
  } else if (folder in folders) {
    request.url = `/${rest.join('/')}`;
    folders[folder](request, response, notFound);
  } else {
    notFound();
  }
});
server.listen(Number(values.port), () => {
  process.stdout.write(`Halfspace demo: http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/\n`);
});
