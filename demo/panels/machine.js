/** What this machine and browser offer, and why something is off. */
import { element } from '../element.js';
import { megabytes } from '../view/format.js';

/**
 * @typedef {import('../app.js').App} App
 * @typedef {[string, string, string]} Row what; whether or how much; why, or what it means
 */

/** @param {App} app */
export function mountMachine(app) {
  const section = /** @type {HTMLElement} */ (document.getElementById('machine'));
  const body = element('tbody');
  const title = /** @type {HTMLElement} */ (section.querySelector('h2'));
  const heads = ['What', 'Here', 'Why, and what it means'].map((text) => element('th', { scope: 'col' }, text));
  const table = element('table', {}, element('thead', {}, element('tr', {}, ...heads)), body);
  section.append(element('details', {}, element('summary', {}, title), table));
  const show = async () => body.replaceChildren(...[...engineRows(app), ...pageRows(), ...(await storageRows())].map(tableRow));
  for (const name of /** @type {const} */ (['engine', 'job'])) app.on(name, () => void show());
  void show();
}

/** @param {Row} row */
const tableRow = ([what, here, why]) =>
  element('tr', {}, element('th', { scope: 'row' }, what), element('td', {}, here), element('td', { className: 'hint' }, why));

/** @param {App} app @returns {Row[]} */
function engineRows({ engine, settings }) {
  if (!engine) return [['Engine', 'not loaded', 'What it makes use of is known once a model is loaded.']];
  const { variant, reasons, threads, kv, memoryBytes } = engine.info;
  const why = (/** @type {RegExp} */ about) => reasons.filter((reason) => about.test(reason)).join('; ');
  const isRelaxed = variant === 'relaxed';
  const fewer = settings.threads === 'auto' ? `${navigator.hardwareConcurrency} processors; at most 4 are taken by themselves` : 'as set';
  return [
    ['SIMD', 'on', 'Several numbers are multiplied at once.'],
    ['Relaxed SIMD', isRelaxed ? 'on' : 'off', isRelaxed ? 'Faster products, where the browser has them.' : why(/^relaxed/)],
    ['Threads', String(threads), why(/threads/) || fewer],
    ['KV cache', kv, kv === 'q8' ? 'Keys and values in 8 bits: a quarter of the memory.' : 'Keys and values in 32 bits.'],
    ['Memory of the engine', megabytes(memoryBytes), 'Model, caches and index; the limit is 4 GB.'],
  ];
}

/** @returns {Row[]} */
function pageRows() {
  const memory = 'deviceMemory' in navigator ? Number(navigator.deviceMemory) : undefined;
  const isolated = globalThis.crossOriginIsolated;
  return [
    [
      'Cross-origin isolation',
      isolated ? 'on' : 'off',
      isolated
        ? 'Threads may share memory.'
        : 'Threads need it: everything works with a single one. The server does not send the COOP and COEP headers, and the service worker that adds them is not there (yet): loading the page again may help.',
    ],
    ['Processors', String(navigator.hardwareConcurrency), 'As the browser tells.'],
    [
      'Memory of the machine',
      memory === undefined ? 'not told' : `${memory >= 8 ? 'at least ' : ''}${memory} GB`,
      memory === undefined ? 'This browser does not tell.' : 'Rounded by the browser.',
    ],
    [
      'Without the network',
      navigator.serviceWorker?.controller ? 'ready' : 'not ready',
      navigator.serviceWorker?.controller
        ? 'The page is stored here; a stored model works offline, too.'
        : 'The page needs the network: its service worker is not running here.',
    ],
  ];
}

/** @returns {Promise<Row[]>} */
async function storageRows() {
  if (!navigator.storage?.estimate) return [['Storage', 'none', 'This browser has none for this page: HTTPS or localhost is needed.']];
  const { usage = 0, quota = 0 } = await navigator.storage.estimate();
  return [['Storage', `${megabytes(usage)} of ${megabytes(quota)}`, 'Models and documents that are kept; a browser’s estimate.']];
}
