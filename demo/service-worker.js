/**
 * Keeps the page's own files, so that it opens without the network, and gives it the headers of cross-origin isolation. A version is
 * all of the files that site.js listed (SITE): a page never gets files of two. Models and the user's documents are not here, but in the
 * origin private file system.
 */
/* global importScripts */
importScripts('./service-worker-files.js');

/**
 * What is used of a service worker's scope, whose types are at odds with a page's.
 * @typedef {Event & {waitUntil: (work: Promise<void>) => void}} LifeEvent
 * @typedef {Event & {request: Request, respondWith: (response: Promise<Response>) => void}} FetchEvent
 * @typedef {object} Scope
 * @property {(type: 'install' | 'activate', listener: (event: LifeEvent) => void) => void} addEventListener
 * @property {{claim: () => Promise<void>}} clients
 * @property {{scope: string}} registration
 * @property {() => Promise<void>} skipWaiting
 * @property {{version: string, files: string[], fresh: string[]}} SITE
 *
 * @typedef {Scope & {addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void}
 *   & {addEventListener(type: 'message', listener: (event: MessageEvent) => void): void}} Worker
 */
const worker = /** @type {Worker} */ (/** @type {unknown} */ (self));
const { version, files, fresh } = worker.SITE;
const PREFIX = `halfspace-site ${worker.registration.scope} `;
const CACHE = PREFIX + version;
const ISOLATION = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

const urlOf = (/** @type {string} */ path) => new URL(path, worker.registration.scope).href;
const KEPT = new Set(files.map(urlOf));
const FRESH = new Set(fresh.map(urlOf));
const INDEX = urlOf('index.html');

worker.addEventListener('install', (event) => event.waitUntil(install()));
worker.addEventListener('activate', (event) => event.waitUntil(activate()));
worker.addEventListener('message', ({ data }) => {
  if (data === 'take over') void worker.skipWaiting();
});
worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = url.hash = '';
  const { href } = url;
  if (request.method !== 'GET' || request.headers.has('range')) return;
  if (request.mode === 'navigate' && (href === worker.registration.scope || href === INDEX)) event.respondWith(kept(INDEX));
  else if (FRESH.has(href)) event.respondWith(newest(href));
  else if (KEPT.has(href)) event.respondWith(kept(href));
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(files.map((path) => new Request(urlOf(path), { cache: 'reload' })));
}

async function activate() {
  for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  await worker.clients.claim();
}

/** @param {string} href */
async function kept(href) {
  const cache = await caches.open(CACHE);
  // The browser may have thrown it away.
  return isolated((await cache.match(href)) ?? (await fetch(href)));
}

/** What changes while a version stays: from the network, and as it was last where there is none. @param {string} href */
async function newest(href) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(href, { cache: 'no-store' });
    if (response.ok) await cache.put(href, response.clone());
    return isolated(response);
  } catch (error) {
    const before = await cache.match(href);
    if (!before) throw error;
    return isolated(before);
  }
}

/** @param {Response} response */
function isolated({ body, status, statusText, headers }) {
  const all = new Headers(headers);
  for (const [name, value] of Object.entries(ISOLATION)) all.set(name, value);
  return new Response(body, { status, statusText, headers: all });
}
