/** Results as files. */
import { element } from '../element.js';

/** @param {Blob} blob @param {string} name of the file */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element('a', { href: url, download: name }).click();
  // Firefox reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * What was measured, with all that it takes to understand it.
 * @param {import('../app.js').App} app
 * @param {string} kind
 * @param {object} result
 */
export function report(app, kind, result) {
  const { engine, model, document: open, settings } = app;
  return {
    kind,
    date: new Date().toISOString(),
    machine: {
      userAgent: navigator.userAgent,
      processors: navigator.hardwareConcurrency,
      isolated: crossOriginIsolated,
      engine: engine?.info,
    },
    model: model && { name: model.name, bytes: model.bytes },
    document: open && { title: open.title, tokens: open.tokens.end - open.tokens.start, contextTokens: open.prefix.length },
    settings: structuredClone(settings),
    ...result,
  };
}

/** @param {object} value @param {string} name of the file */
export const downloadJson = (value, name) =>
  download(new Blob([`${JSON.stringify(value, null, 2)}\n`], { type: 'application/json' }), name);
