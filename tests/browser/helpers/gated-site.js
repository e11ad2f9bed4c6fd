/** Serves the demo from this process, so that a test can hold the model back, see what was asked for, and take the server away. */
import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';

import sirv from 'sirv';

import { prepareSnapshots } from '../../../demo/shipped.js';
import { buildSite } from '../../../demo/site.js';

const PIECE = 64 << 10;
const ISOLATION = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/**
 * @param {{model: string, folder: string, isolated?: boolean}} options folder: where the site is built
 */
export async function gatedSite({ model, folder, isolated = true }) {
  await buildSite(model, { folder });
  await (
    await prepareSnapshots(folder, model, { tokens: 0 })
  ).done;
  const headers = isolated ? ISOLATION : {};
  const files = sirv(folder, {
    dev: true,
    setHeaders: (response) => Object.entries(headers).forEach(([name, value]) => response.setHeader(name, value)),
  });
  const { size } = await stat(model);
  const site = {
    url: '',
    /** First bytes of the ranges of the model that were asked for. @type {number[]} */
    asked: [],
    /** Bytes of the model from this one on are held back. */
    heldFrom: Infinity,
    size,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  /** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
  async function sendModel(request, response) {
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? 'bytes=0-') ?? [];
    const [start, end] = [Number(from), to ? Math.min(Number(to), size - 1) : size - 1];
    if (end - start > 0) site.asked.push(start);
    response.writeHead(206, {
      ...headers,
      etag: '"model"',
      'content-range': `bytes ${start}-${end}/${size}`,
      'content-length': end - start + 1,
    });
    const file = await open(join(folder, basename(model)));
    try {
      for (let at = start; at <= end && !response.destroyed;) {
        if (at >= site.heldFrom) {
          await new Promise((resolve) => setTimeout(resolve, 10));
          continue;
        }
        const { buffer, bytesRead } = await file.read(Buffer.alloc(PIECE), 0, Math.min(PIECE, end + 1 - at), at);
        response.write(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
      response.end();
    } finally {
      await file.close();
    }
  }

  const server = createServer((request, response) => {
    if (request.url === `/${basename(model)}`) void sendModel(request, response);
    else files(request, response, () => void response.writeHead(404).end('not found\n'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  site.url = `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`;
  return site;
}
