/** The files of the repository and a small model over HTTP, cross-origin isolated, and a page that can import the package. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import sirv from 'sirv';

import { randomModel } from '../node/helpers/random-model.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/** Where a page finds the packages that the package imports. */
const IMPORTS = {
  '@huggingface/jinja': '/node_modules/@huggingface/jinja/dist/index.js',
  '@noble/hashes/': '/node_modules/@noble/hashes/',
  'wasm-feature-detect': '/node_modules/wasm-feature-detect/dist/esm/index.js',
};
const PAGE = `<!doctype html><title>suite</title><script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;

/** @returns {Promise<{origin: string, url: string, path: string, close: () => Promise<void>}>} url and path of the model */
export async function serve() {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-runtimes-'));
  const path = join(folder, 'model.gguf');
  await writeFile(path, randomModel({ arch: 'llama', type: 'Q4_1', tied: false }));
  const setHeaders = (/** @type {import('node:http').ServerResponse} */ response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  };
  const [files, models] = [ROOT, folder].map((root) => sirv(root, { dev: true, setHeaders }));
  const server = createServer((request, response) => {
    if (request.url === '/') {
      setHeaders(response);
      response.setHeader('content-type', 'text/html');
      response.end(PAGE);
    } else (request.url === '/model.gguf' ? models : files)(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
  return {
    origin,
    url: `${origin}/model.gguf`,
    path,
    async close() {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true });
    },
  };
}
