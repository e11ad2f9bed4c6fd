/** Benches in a page: rounds driven from Node.js, and whole benches whose reports come back. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { modelPath } from '../node/helpers/model.js';

const BOOK = 'demo/documents/alice.txt';

/** @param {string[]} args */
async function bench(...args) {
  const { stdout } = await promisify(execFile)(process.execPath, ['web/cli.js', 'bench', ...args, '--json']);
  return JSON.parse(stdout);
}

test('bench decode in Chromium', { timeout: 120_000 }, async () => {
  const options = ['--model', await modelPath(), '--file', BOOK, '--contexts', '30,40', '--tokens', '2', '--repeats', '2'];
  const { rows, runtime, variant } = await bench('decode', '--runtime', 'chromium', ...options);
  assert.match(runtime, /^Chromium \d+/);
  assert.equal(variant, 'relaxed');
  assert.deepEqual(
    rows.map((/** @type {{context: number}} */ { context }) => context),
    [30, 40],
  );
  for (const { dense, hsr, kl, top1Agreement } of rows) assert.ok(dense.min > 0 && hsr.min > 0 && kl < 1e-6 && top1Agreement === 1);
});

test('bench attention in Firefox', { timeout: 120_000 }, async () => {
  const options = ['--model', await modelPath(), '--file', BOOK, '--ctx', '100', '--sizes', '2048'];
  const { rows, runtime, queryHeads } = await bench('attention', '--runtime', 'firefox', ...options);
  assert.match(runtime, /^Firefox \d+/);
  assert.equal(queryHeads, 9);
  const { 'dense f32': f32, 'dense int8': int8 } = rows[0].ways;
  assert.ok(f32.error === 0 && int8.error > 0 && int8.error < 0.02, JSON.stringify(rows));
});

test('bench load with threads in Chromium', { timeout: 120_000 }, async () => {
  const loaded = await bench('load', '--runtime', 'chromium', '--model', await modelPath(), '--threads', '2', '--repeats', '1');
  assert.match(loaded.runtime, /^Chromium \d+/);
  assert.deepEqual([loaded.variant, loaded.threads], ['relaxed', 2]);
  assert.ok(loaded.ms.min > loaded.loadMs.min && loaded.coreBytes > 9e7);
  if (process.platform === 'linux') assert.ok(loaded.growthBytes > 9e7, String(loaded.growthBytes));
});

test('bench kernels and phases in browsers', { timeout: 120_000 }, async () => {
  const { rows, runtime } = await bench('kernels', '--runtime', 'firefox', '--only', 'exp', '--repeats', '1', '--ms', '2');
  assert.match(runtime, /^Firefox \d+/);
  assert.ok(rows.length === 1 && rows[0].wasm.median > 0 && rows[0].error < 1e-6, JSON.stringify(rows));
  const options = ['--model', await modelPath(), '--file', BOOK, '--contexts', '30', '--tokens', '2', '--repeats', '1'];
  const profile = await bench('decode', '--profile', '--runtime', 'chromium', ...options);
  for (const { phases } of profile.rows) assert.ok(phases['gate, up'] > 0 && phases.logits > 0, JSON.stringify(phases));
});
