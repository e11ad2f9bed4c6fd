/** `serve`: the OpenAI-compatible API, until a signal ends it. */
import { once } from 'node:events';
import { basename } from 'node:path';

import { badArgument, HalfspaceError } from '../errors.js';
import { isLoopback } from '../server/http.js';
import { Server } from '../server/server.js';
import { openFileStore } from '../stores/files.js';
import { loadEngine, printJson } from './common.js';

/** @typedef {import('./common.js').ModelOptions} ModelOptions */

/**
 * @typedef {ModelOptions & {host: string, port: number, alias?: string, apiKey?: string, cors?: string, attention: 'dense' | 'hsr',
 *   maxTokens: number, queue: number, maxBody: number, prefixCache: number, prefixCacheBytes: number, snapshots?: string,
 *   snapshotsBytes: number}} ServeOptions
 */

/** @param {ServeOptions} options */
export async function serve(options) {
  if (options.port > 65_535) throw badArgument('port', 'must be 0..65535', options.port, 65_535);
  if (options.apiKey === '') throw badArgument('apiKey', 'must not be empty', '', 1);
  const engine = await loadEngine(options);
  try {
    await serveUntilSignal(engine, options);
  } finally {
    engine.close();
  }
}

/** @param {import('../engine.js').Engine} engine @param {ServeOptions} options */
async function serveUntilSignal(engine, options) {
  const { host, port, apiKey, cors, attention, maxTokens, queue, maxBody, snapshots, alias: model = fileName(options.model) } = options;
  const broken = new AbortController();
  const server = await Server.start(engine, {
    ...{ model, host, port, apiKey, cors, attention, maxTokens, queue, maxBody },
    prefixes: { entries: options.prefixCache, bytes: options.prefixCacheBytes },
    snapshots: snapshots === undefined ? undefined : await openFileStore(snapshots, { maxBytes: options.snapshotsBytes }),
    onWarning: (message) => process.stderr.write(`halfspace: ${message}\n`),
    onError(error) {
      process.stderr.write(`halfspace: ${/** @type {Error} */ (error).stack}\n`);
      if (error instanceof HalfspaceError && error.code === 'closed') broken.abort(error);
    },
  });
  if (options.json) printJson({ url: `${server.url}/v1`, model, ...engine.info });
  else process.stdout.write(`${model} is served at ${server.url}/v1\n`);
  if (!isLoopback(host) && apiKey === undefined)
    process.stderr.write('halfspace: whoever reaches this machine can use it: there is no --api-key\n');

  // A second signal ends the process at once: nobody listens to it any more.
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), once(broken.signal, 'abort')]);
  await server.close();
  broken.signal.throwIfAborted();
}

/** @param {string} model path or URL */
function fileName(model) {
  const path = model.includes('://') ? decodeURIComponent(new URL(model).pathname) : model;
  return basename(path).replace(/\.gguf$/, '');
}
