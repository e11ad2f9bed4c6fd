/**
 * An OpenAI-compatible API over one engine, for Node.js: /v1/models, /v1/chat/completions, /v1/completions, and /health.
 * The way of a request: host, key, route -> body (http.js) -> what is asked (request.js) -> queue (queue.js) -> the longest
 * prefix that is held (prefix-cache.js) or saved (saved-prefixes.js) -> generation and answer (completions.js) -> what has to
 * leave memory is saved.
 */
import { createServer } from 'node:http';
import { finished } from 'node:stream/promises';

import { HalfspaceError } from '../errors.js';
import { complete } from './completions.js';
import { ApiError, shuttingDown, toApiError } from './errors.js';
import { hasKey, isLocalName, isLoopback, readJson, sendJson } from './http.js';
import { PrefixCache } from './prefix-cache.js';
import { Queue } from './queue.js';
import { checkModel, readRequest } from './request.js';
import { SavedPrefixes } from './saved-prefixes.js';

/**
 * @typedef {import('./http.js').Request} Request
 * @typedef {import('./http.js').Response} Response
 *
 * @typedef {object} ServerOptions
 * @property {string} model the name clients ask for
 * @property {string} [host] default 127.0.0.1
 * @property {number} [port] default 8080; 0: any that is free
 * @property {string} [apiKey] default none
 * @property {string} [cors] origin of pages that may call, or *; default none may
 * @property {import('../engine.js').Attention} [attention] default hsr
 * @property {number} [maxTokens] of a chat's answer where a request does not say; default 1024
 * @property {number} [queue] requests that may wait; default 16
 * @property {number} [maxBody] bytes of a request; default 1 MiB
 * @property {{entries: number, bytes: number}} [prefixes] that are held; default 16 and 1 GiB
 * @property {import('../stores/store.js').Store} [snapshots] where prefixes that leave memory are saved; default: nowhere
 * @property {(message: string) => void} [onWarning] something could not be saved or resumed, in one line; requests go on
 * @property {(error: unknown) => void} [onError] an error that is not the client's; the engine is of no more use where its code is 'closed'
 */

export const DEFAULTS = {
  host: '127.0.0.1',
  port: 8080,
  maxTokens: 1024,
  queue: 16,
  maxBody: 2 ** 20,
  prefixes: { entries: 16, bytes: 2 ** 30 },
};
/** Open connections, and how long the request itself may take to come. */
const MAX_CONNECTIONS = 256;
const REQUEST_MS = 60_000;
/** What a client has left to take the end of its answer when the server closes. */
const CLOSE_MS = 2000;

/** @typedef {(request: Request, response: Response, rest: string) => void | Promise<void>} Handler rest: of the path */

export class Server {
  #engine;
  #options;
  #queue;
  #http = createServer((request, response) => this.#take(request, response));
  #closing = false;
  /** Of completions, to end them. @type {Set<AbortController>} */
  #running = new Set();
  /** Requests that are being answered. @type {Set<Promise<void>>} */
  #open = new Set();
  #started = Math.floor(Date.now() / 1000);

  /** @type {Record<string, Record<string, Handler>>} */
  #routes = {
    '/health': { GET: (_request, response) => this.#health(response) },
    '/v1/models': { GET: (_request, response) => sendJson(response, 200, { object: 'list', data: [this.#model()] }) },
    '/v1/models/': { GET: (_request, response, name) => this.#oneModel(response, name) },
    '/v1/chat/completions': { POST: (request, response) => this.#complete('chat', request, response) },
    '/v1/completions': { POST: (request, response) => this.#complete('text', request, response) },
  };

  /**
   * Use Server.start().
   * @param {import('../engine.js').Engine} engine stays the caller's
   * @param {ServerOptions} options
   */
  constructor(engine, options) {
    this.#engine = engine;
    // An option that is undefined is one left out: a host that is not given must not open the server to everyone.
    const given = /** @type {ServerOptions} */ (Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)));
    this.#options = { ...DEFAULTS, attention: /** @type {import('../engine.js').Attention} */ ('hsr'), ...given };
    this.#queue = new Queue(this.#options.queue);
    const { prefixes, snapshots, onWarning } = this.#options;
    this.saved = snapshots && new SavedPrefixes(engine, snapshots, onWarning);
    this.prefixes = new PrefixCache(prefixes, this.saved && ((prefix) => this.saved?.add(prefix)));
    this.#http.maxConnections = MAX_CONNECTIONS;
    this.#http.requestTimeout = REQUEST_MS;
  }

  /**
   * @param {import('../engine.js').Engine} engine
   * @param {ServerOptions} options
   * @throws {HalfspaceError} io: the port is taken, or not allowed; bad-argument: the store holds what are no snapshots
   */
  static async start(engine, options) {
    const server = new Server(engine, options);
    const { host, port } = server.#options;
    await server.saved?.load();
    await /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        server.#http.once('error', (cause) =>
          reject(new HalfspaceError('io', `cannot listen: ${cause.message}`, { field: 'port', value: port, cause })),
        );
        server.#http.listen(port, host, resolve);
      })
    );
    return server;
  }

  get url() {
    const { address, family, port } = /** @type {import('node:net').AddressInfo} */ (this.#http.address());
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** Ends every generation with an error to its client, then the connections, and saves or frees the prefixes. */
  async close() {
    this.#closing = true;
    for (const completion of this.#running) completion.abort();
    const closed = new Promise((resolve) => this.#http.close(resolve));
    const late = setTimeout(() => this.#http.closeAllConnections(), CLOSE_MS);
    await Promise.all(this.#open);
    this.#http.closeIdleConnections();
    await closed;
    clearTimeout(late);
    this.prefixes.clear();
    await this.saved?.flush();
  }

  /** @param {Request} request @param {Response} response */
  #take(request, response) {
    const answered = this.#answer(request, response).then(() => finished(response).catch(() => undefined));
    this.#open.add(answered);
    answered.finally(() => this.#open.delete(answered));
  }

  /** @param {Request} request @param {Response} response */
  async #answer(request, response) {
    try {
      if (this.#closing) throw shuttingDown();
      const { host, cors } = this.#options;
      if (isLoopback(host) && !isLocalName(request.headers.host))
        throw new ApiError(403, 'the Host header must name this machine', { code: 'wrong_host' });
      if (cors !== undefined) {
        response.setHeader('access-control-allow-origin', cors);
        if (request.method === 'OPTIONS') return allow(request, response);
      }
      await this.#route(request, response);
    } catch (error) {
      this.#fail(response, error);
    }
  }

  /** @param {Request} request @param {Response} response */
  async #route(request, response) {
    const [path] = (request.url ?? '').split('?', 1);
    const { apiKey } = this.#options;
    if (apiKey !== undefined && path !== '/health' && !hasKey(request.headers.authorization, apiKey))
      throw new ApiError(401, 'the API key is missing or wrong', { code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } });
    const base = path.startsWith('/v1/models/') ? '/v1/models/' : path;
    const methods = Object.hasOwn(this.#routes, base) ? this.#routes[base] : undefined;
    if (!methods) throw new ApiError(404, `there is nothing at ${path}`, { code: 'unknown_url' });
    const handler = Object.hasOwn(methods, request.method ?? '') ? methods[/** @type {string} */ (request.method)] : undefined;
    const allowed = Object.keys(methods).join(', ');
    if (!handler)
      throw new ApiError(405, `${path} takes ${allowed}, not ${request.method}`, {
        code: 'method_not_allowed',
        headers: { allow: allowed },
      });
    await handler(request, response, path.slice(base.length));
  }

  /** @param {import('./request.js').Kind} kind @param {Request} request @param {Response} response */
  async #complete(kind, request, response) {
    const ended = new AbortController();
    this.#running.add(ended);
    response.on('close', () => {
      ended.abort();
      this.#running.delete(ended);
    });
    const body = await readJson(request, this.#options.maxBody);
    const { model, attention, maxTokens } = this.#options;
    const job = readRequest(kind, body, { engine: this.#engine, model, maxTokens });
    const server = { engine: this.#engine, model, attention, cache: this.prefixes, saved: this.saved };
    await this.#queue.run(async () => {
      try {
        await complete(server, job, response, ended.signal);
      } catch (error) {
        this.#fail(response, error);
      }
      // The client has its answer; the next one waits.
      await this.saved?.flush();
    }, ended.signal);
  }

  /**
   * Tells the client, if it is still there.
   * @param {Response} response
   * @param {unknown} error
   */
  #fail(response, error) {
    if (response.destroyed) return;
    const { status, headers, body } = this.#closing ? shuttingDown() : toApiError(error);
    if (status >= 500 && !this.#closing) this.#options.onError?.(error);
    if (response.headersSent) response.end(`data: ${JSON.stringify(body)}\n\n`);
    else sendJson(response, status, body, headers);
  }

  #model() {
    return { id: this.#options.model, object: 'model', created: this.#started, owned_by: 'halfspace' };
  }

  /** @param {Response} response @param {string} name */
  #oneModel(response, name) {
    let decoded = name;
    try {
      decoded = decodeURIComponent(name);
    } catch {
      // A name that is not encoded rightly is nobody's.
    }
    checkModel(decoded, this.#options.model);
    sendJson(response, 200, this.#model());
  }

  /** @param {Response} response */
  #health(response) {
    const { info } = this.#engine;
    sendJson(response, 200, {
      status: 'ok',
      running: this.#queue.busy ? 1 : 0,
      waiting: this.#queue.waiting,
      memoryBytes: info.memoryBytes,
      prefixes: { entries: this.prefixes.size, bytes: this.prefixes.bytes },
      ...(this.saved && { saved: { entries: this.saved.size, bytes: this.saved.bytes } }),
    });
  }
}

/** A page of another origin asks first. @param {Request} request @param {Response} response */
function allow(request, response) {
  response.writeHead(204, {
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'authorization, content-type',
    'access-control-max-age': '600',
  });
  response.end();
}
