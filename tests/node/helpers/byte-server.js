/** A file over HTTP from this process, with the faults a test asks for. */
import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * @typedef {object} Served may be changed between requests
 * @property {Uint8Array} bytes
 * @property {boolean} [ranges] default true; false answers 200 with everything
 * @property {number} [status] answers this and nothing else
 * @property {Record<string, string>} [headers]
 * @property {(index: number, start: number) => number} [cut] bytes of this body that are sent before the connection is dropped
 * @property {boolean} [stall] a cut body is left open, not dropped
 * @property {boolean} [chunked] tells no length
 */

/**
 * @param {Served} file
 * @returns {Promise<{url: string, starts: number[], bodies: import('node:http').ServerResponse[], close: () => Promise<unknown>}>}
 *   starts: first byte that each request asked for
 */
export async function serveBytes(file) {
  /** @type {number[]} */
  const starts = [];
  /** @type {import('node:http').ServerResponse[]} */
  const bodies = [];
  const server = createServer((request, response) => {
    const { bytes, ranges = true, cut = () => Infinity } = file;
    const [first, last] = (/bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []).slice(1).map(Number);
    const index = starts.push(first) - 1;
    bodies.push(response);
    for (const [name, value] of Object.entries(file.headers ?? {})) response.setHeader(name, value);
    const unsatisfiable = ranges && first >= bytes.length;
    if (file.status || unsatisfiable) {
      response.writeHead(file.status ?? 416).end('no');
      return;
    }
    const body = ranges ? bytes.subarray(first, last + 1) : bytes;
    if (ranges && !response.hasHeader('content-range'))
      response.setHeader('content-range', `bytes ${first}-${first + body.length - 1}/${bytes.length}`);
    response.statusCode = ranges ? 206 : 200;
    if (file.chunked) response.flushHeaders();
    else response.setHeader('content-length', body.length);
    const sent = cut(index, first);
    if (sent >= body.length) response.end(body);
    else if (sent === 0) response.socket?.destroy();
    else response.write(body.subarray(0, sent), () => file.stall || response.socket?.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}/file.gguf`, starts, bodies, close };
}
