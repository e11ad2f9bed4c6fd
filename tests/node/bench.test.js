/** Benches that compare: rounds, ratios, reports, and native llama.cpp as the one peer that comes with the repository. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { lineChart } from '../../web/cli/bench/chart.js';
import { perToken, ratioOf, timesOf } from '../../web/cli/bench/ratios.js';
import { environment, Report } from '../../web/cli/bench/report.js';
import { Session } from '../../web/cli/bench/session.js';
import { timeInTurn } from '../../web/cli/bench/timing.js';
import { Engine } from '../../web/index.js';
import { modelPath } from './helpers/model.js';
import { randomModel } from './helpers/random-model.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const BOOK = join(root, 'demo/documents/alice.txt');

/** @param {string} name @param {string[]} args */
async function bench(name, ...args) {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  const common = ['--model', await modelPath(), '--file', BOOK, '--repeats', '3', '--out', folder, '--json', ...args];
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'web/cli.js'), 'bench', name, ...common]);
  const written = (/** @type {string} */ end) => readFile(join(folder, `${name}.${end}`), 'utf8');
  const result = JSON.parse(/** @type {string} */ (stdout.trimEnd().split('\n').at(-1)));
  assert.deepEqual(JSON.parse(await written('json')), result);
  return { result, markdown: await written('md'), svg: await written('svg') };
}

test('ratios are taken within rounds', () => {
  assert.equal(perToken({ ms: [1, 2, 6] }), 3);
  // The second round ran on a machine ten times as slow.
  assert.deepEqual(ratioOf([2, 20, 3], [1, 10, 2]), { median: 2, min: 1.5, max: 2 });
  assert.deepEqual(timesOf({ a: [3, 1, 2] }), { a: { median: 2, min: 1 } });
});

test('what is timed in turn is waited for', async () => {
  let running = 0;
  let most = 0;
  const slow = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
  };
  const times = await timeInTurn({ slow, other: slow }, 2);
  assert.equal(most, 1);
  assert.ok(times.slow.min >= 1 && times.slow.calls >= 6, JSON.stringify(times));
});

test('a chart has every point where its numbers are', () => {
  const svg = lineChart('a < b', { x: 'x', y: 'y' }, [
    {
      name: 'one',
      points: [
        [100, 10],
        [1000, 100],
        [10_000, 1000],
      ].map(([x, y]) => [x, y]),
    },
  ]);
  assert.match(svg, /a &lt; b/);
  const points = Array.from(svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g), ([, x, y]) => [Number(x), Number(y)]);
  assert.equal(points.length, 3);
  // Powers of ten are evenly spread; larger numbers lie to the right and above.
  for (const axis of [0, 1]) assert.ok(Math.abs(points[0][axis] + points[2][axis] - 2 * points[1][axis]) < 0.2);
  assert.ok(points[2][0] > points[0][0] && points[2][1] < points[0][1]);
});

test('a report says where it comes from', async () => {
  const folder = join(await mkdtemp(join(tmpdir(), 'halfspace-')), 'new');
  const report = new Report('x', environment('simd', { peers: [{ name: 'other', version: '1.2' }] }));
  report.table(['name', 'ms'], [['a', 1.5]]);
  report.chart('times', '<svg/>');
  await report.publish({ a: 1 }, { json: true, out: folder });
  const markdown = await readFile(join(folder, 'x.md'), 'utf8');
  assert.match(markdown, new RegExp(`one thread of \\d+, .*, Node ${process.versions.node}`));
  assert.match(markdown, /other: 1\.2/);
  assert.match(markdown, /\| name \| {2}ms \|\n\| ---- \| --: \|\n\| a {4}\| 1\.5 \|/);
  assert.match(markdown, /!\[times\]\(x\.svg\)/);
  assert.equal(await readFile(join(folder, 'x.svg'), 'utf8'), '<svg/>');
});

test('a round leaves the context as it was, and is compared with the dense one over the same tokens', async () => {
  const engine = await Engine.load(randomModel({ arch: 'llama' }));
  const ids = engine.tokenize((await readFile(BOOK, 'utf8')).slice(0, 4000));
  const session = new Session(engine, 2100);
  await session.prefill(ids.slice(0, 2060), 'dense');
  const next = ids.slice(2060, 2064);
  const few = /** @type {const} */ ({ strength: 'exact', r: 16 });
  const first = session.round(next, few);
  assert.deepEqual([first.ms.length, first.quality], [4, undefined]);
  session.round(next, 'dense');
  const { quality } = session.round(next, few);
  assert.ok(quality && quality.kl > 0 && quality.exactFraction < 0.2, JSON.stringify(quality));
  session.round(next, 'dense');
  assert.deepEqual(session.round(next, few).quality, quality);
  assert.equal(session.round(next.slice(1), few).quality, undefined);
  engine.close();
});

test('bench decode and prefill beside native llama.cpp', async () => {
  const { result, markdown, svg } = await bench('decode', '--peers', '--contexts', '24,40', '--tokens', '2', '--wllama-contexts', '9999');
  assert.deepEqual(
    result.peers.map((/** @type {{name: string}} */ { name }) => name),
    ['llama.cpp'],
  );
  for (const row of result.rows) {
    assert.ok(row.peers['llama.cpp'].min > 0 && row.peers['llama.cpp'].median >= row.peers['llama.cpp'].min);
    assert.deepEqual(Object.keys(row.ratios), ['dense', 'llama.cpp']);
    for (const { min, median, max } of Object.values(row.ratios)) assert.ok(min > 0 && min <= median && median <= max);
    assert.equal(row.ratio, row.ratios.dense.median);
  }
  assert.match(markdown, /\| 40 +\| llama\.cpp \|/);
  assert.equal(svg.match(/<polyline/g)?.length, 3);

  const prefill = await bench('prefill', '--peers', '--lengths', '30', '--wllama-contexts', '9999');
  const [row] = prefill.result.rows;
  assert.deepEqual(Object.keys(row.tokensPerSecond), ['exact', 'hsr', 'llama.cpp']);
  for (const { median, max } of Object.values(row.tokensPerSecond)) assert.ok(median > 0 && max >= median);
});
