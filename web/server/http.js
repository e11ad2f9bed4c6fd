/** HTTP as far as the API needs it: JSON in, JSON or an event stream out, and who may call. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';

import { ApiError } from './errors.js';

/** @typedef {import('node:http').IncomingMessage} Request @typedef {import('node:http').ServerResponse} Response */

/** A body that is too long is read on and dropped, so that the client reads the answer; from here on it is cut off. */
const DROPPED_BYTES = 64 * 2 ** 20;
/** A client that takes nothing for so long does not keep others waiting. */
const STALL_MS = 30_000;

/**
 * @param {Request} request
 * @param {number} limit bytes of the body
 * @returns {Promise<Record<string, unknown>>}
 * @throws {ApiError} 400, 413, 415
 */
export async function readJson(request, limit) {
  const [type] = (request.headers['content-type'] ?? '').split(';');
  // Other types could be sent by any web page without asking.
  if (type.trim().toLowerCase() !== 'application/json')
    throw new ApiError(415, 'the body must be application/json', { code: 'unsupported_media_type' });
  const text = new TextDecoder('utf-8', { fatal: true });
  let body;
  try {
    body = JSON.parse(text.decode(await readBody(request, limit)));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    throw new ApiError(400, `the body is not JSON: ${error.message}`, { code: 'invalid_json' });
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new ApiError(400, 'the body must be a JSON object', { code: 'invalid_json' });
  return body;
}

/** @param {Request} request @param {number} limit */
async function readBody(request, limit) {
  /** @type {Buffer[]} */
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length <= limit) parts.push(part);
    else if (length > limit + DROPPED_BYTES) break;
    else parts.length = 0;
  }
  if (length <= limit) return Buffer.concat(parts);
  throw new ApiError(413, `the body is longer than ${limit} bytes`, { code: 'body_too_large', headers: { connection: 'close' } });
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 */
export function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { ...headers, 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}

/** Server-sent events. */
export class EventStream {
  #response;
  #signal;
  #stallMs;

  /** @param {Response} response @param {AbortSignal} signal aborted when the response is closed @param {number} [stallMs] */
  constructor(response, signal, stallMs = STALL_MS) {
    this.#response = response;
    this.#signal = signal;
    this.#stallMs = stallMs;
  }

  /** Sends the headers: from here on an error is an event. */
  open() {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    this.#response.flushHeaders();
  }

  /** A line that clients pass over; it keeps the connection alive. @param {string} text */
  comment(text) {
    this.#response.write(`: ${text}\n\n`);
  }

  /**
   * Waits while the client takes nothing, and gives it up when that lasts.
   * @param {unknown} data
   */
  async send(data) {
    this.open();
    if (this.#response.write(`data: ${JSON.stringify(data)}\n\n`)) return;
    const stalled = setTimeout(() => this.#response.destroy(), this.#stallMs);
    try {
      await once(this.#response, 'drain', { signal: this.#signal });
    } finally {
      clearTimeout(stalled);
    }
  }

  done() {
    this.#response.end('data: [DONE]\n\n');
  }
}

/** @param {string} host a bound address */
export const isLoopback = (host) => host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);

/**
 * A server that listens on this machine only is called by a name of this machine: any other name was made to point here by a
 * web page (DNS rebinding).
 * @param {string | undefined} header the Host header
 */
export function isLocalName(header) {
  const url = `http://${header}`;
  return URL.canParse(url) && isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ''));
}

/** @param {string} text */
const digest = (text) => createHash('sha256').update(text).digest();

/** @param {string | undefined} header Authorization @param {string} key */
export const hasKey = (header, key) => timingSafeEqual(digest(header ?? ''), digest(`Bearer ${key}`));
