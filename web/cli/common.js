/** What the commands share: loading with a progress bar, reading files, printing results. */
import { readFile } from 'node:fs/promises';

import cliProgress from 'cli-progress';

import { Engine } from '../engine.js';
import { HalfspaceError } from '../errors.js';
import { engineOptions } from './engine-options.js';

/** @typedef {import('./engine-options.js').ModelOptions} ModelOptions */

/**
 * A bar on stderr; nothing where stderr is not a terminal.
 * @param {string} label
 * @param {string} unit
 */
export function progress(label, unit) {
  const bar = new cliProgress.SingleBar({
    format: `${label} [{bar}] {value}/{total} ${unit}`,
    stream: process.stderr,
    noTTYOutput: false,
    clearOnComplete: true,
  });
  let started = false;
  return {
    /** @param {number} done @param {number} total */
    update(done, total) {
      if (!process.stderr.isTTY) return;
      if (!started) bar.start(total, done);
      started = true;
      bar.update(done);
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

/**
 * Runs what takes bytes in, under a bar of megabytes.
 * @template T
 * @param {string} label
 * @param {(onProgress: (bytes: number, total: number | undefined) => void) => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function withMegabytes(label, run) {
  const bar = progress(label, 'MB');
  try {
    return await run((bytes, total = 0) => bar.update(Math.round(bytes / 1e6), Math.round(total / 1e6)));
  } finally {
    bar.stop();
  }
}

/** @param {ModelOptions} options */
export const loadEngine = (options) =>
  withMegabytes('loading', (onProgress) => Engine.load(options.model, { ...engineOptions(options), onProgress }));

/** @param {string} path */
export async function readText(path) {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new HalfspaceError('io', `cannot read ${path}: ${/** @type {Error} */ (cause).message}`, { field: 'file', value: path, cause });
  }
}

/** @param {unknown} object */
export function printJson(object) {
  process.stdout.write(`${JSON.stringify(object)}\n`);
}

/** As one JSON object, or a line for each field. @param {Record<string, unknown>} result @param {boolean} [json] */
export function print(result, json) {
  if (json) printJson(result);
  else
    for (const [name, value] of Object.entries(result))
      process.stdout.write(`${name.padEnd(14)} ${typeof value === 'object' ? JSON.stringify(value) : value}\n`);
}
