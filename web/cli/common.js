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

/** @param {ModelOptions} options */
export async function loadEngine(options) {
  const bar = progress('loading', 'MB');
  const MB = 1e6;
  try {
    return await Engine.load(options.model, {
      ...engineOptions(options),
      onProgress: (done, total) => bar.update(Math.round(done / MB), Math.round(total / MB)),
    });
  } finally {
    bar.stop();
  }
}

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
