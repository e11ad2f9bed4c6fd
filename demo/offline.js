/**
 * The service worker (service-worker.js): the page without the network, and cross-origin isolation where the server does not give it. All
 * of it may be missing; the page then works online, with one thread.
 */
import { element } from './element.js';

const RELOADED = 'halfspace-reloaded';

/** @param {import('./app.js').App} app */
export async function registerOffline(app) {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return; // HTTP from elsewhere, or a private window
  const isFirst = !serviceWorker.controller;
  let replaced = false;
  serviceWorker.addEventListener('controllerchange', () => {
    if (replaced) location.reload();
    else if (isFirst) isolate(app);
  });
  try {
    const registration = await serviceWorker.register('./service-worker.js', { updateViaCache: 'none' });
    const offer = () => {
      if (registration.waiting && serviceWorker.controller) offerUpdate(registration.waiting, () => (replaced = true));
    };
    offer();
    registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', offer));
  } catch (error) {
    console.info(`No service worker: ${/** @type {Error} */ (error).message}`);
  }
}

/** Responses of the service worker carry the headers: once it is there, the page needs to be loaded again, once. @param {import('./app.js').App} app */
function isolate(app) {
  if (globalThis.crossOriginIsolated || app.job || app.engine || reloadedBefore()) return;
  location.reload();
}

/** Also where that cannot be known: better one thread than a page that is loaded for ever. */
function reloadedBefore() {
  try {
    const before = sessionStorage.getItem(RELOADED) !== null;
    sessionStorage.setItem(RELOADED, '1');
    return before;
  } catch {
    return true;
  }
}

/** @param {ServiceWorker} waiting @param {() => void} onAccept */
function offerUpdate(waiting, onAccept) {
  if (document.getElementById('update')) return;
  const button = element(
    'button',
    {
      type: 'button',
      className: 'quiet',
      onclick: () => {
        onAccept();
        waiting.postMessage('take over');
      },
    },
    'Load it',
  );
  document.querySelector('header')?.append(element('p', { id: 'update', role: 'status' }, 'There is a new version of this page. ', button));
}
