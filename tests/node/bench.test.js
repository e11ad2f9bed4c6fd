/** Benches that compare: rounds, ratios, reports, and native llama.cpp as the one peer that comes with the repository. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { getLlama } from 'node-llama-cpp';

import { barChart, lineChart } from '../../web/cli/bench/chart.js';
import { besideHogs } from '../../web/cli/bench/hogs.js';
import { perToken, ratioOf, timesOf } from '../../web/cli/bench/ratios.js';
import { environment, Report } from '../../web/cli/bench/report.js';
import { Session } from '../../web/cli/bench/session.js';
import { timeInTurn } from '../../web/cli/bench/timing.js';
import { Engine } from '../../web/index.js';
import { builtProfiles } from '../bench/installed.js';
import { localKernels, nativeKernels } from '../bench/kernels.js';
import { ropeMetadata, ropeOf } from '../bench/rope.js';
import { States } from '../bench/states.js';
import { wllamaSettings } from '../bench/wllama.js';
import { modelPath } from './helpers/model.js';
import { randomModel } from './helpers/random-model.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const BOOK = join(root, 'demo/documents/alice.txt');

/** @param {string} name @param {string[]} args */
async function bench(name, ...args) {
  return report(name, name, '--model', await modelPath(), '--file', BOOK, '--repeats', '3', ...args);
}

/** @param {string} file that it reports to @param {string} name @param {string[]} args */
async function report(file, name, ...args) {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
  const all = ['bench', name, '--out', folder, '--json', ...args];
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'web/cli.js'), ...all]);
  const written = (/** @type {string} */ end) => readFile(join(folder, `${file}.${end}`), 'utf8');
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

test('a bar is as long as its value', () => {
  const svg = barChart('a < b', [
    { name: 'x', value: 2 },
    { name: 'y', value: 1 },
  ]);
  const widths = Array.from(svg.matchAll(/<rect x="230" y="\d+" width="([\d.]+)"/g), ([, width]) => Number(width));
  assert.equal(widths.length, 2);
  assert.ok(widths[1] > 0 && Math.abs(widths[0] - 2 * widths[1]) < 0.2, String(widths));
});

test('linear axes take any numbers, and dots of one pixel are one', () => {
  const points = /** @type {[number, number][]} */ ([[0, -1], [0.01, -1], [50, 0], [100, 1]]); // prettier-ignore
  const svg = lineChart('t', { x: 'x', y: 'y' }, [{ name: 'dots', points, dots: true }], { x: true, y: true });
  const dots = Array.from(svg.matchAll(/M(\d+) (\d+)h0/g), ([, x, y]) => [Number(x), Number(y)]);
  assert.equal(dots.length, 3);
  const [low, middle, high] = dots;
  assert.ok(low[0] < middle[0] && Math.abs(low[0] + high[0] - 2 * middle[0]) <= 1, String(dots));
  assert.ok(low[1] > middle[1] && Math.abs(low[1] + high[1] - 2 * middle[1]) <= 1, String(dots));
  assert.match(svg, />-0\.6</); // a tick, without what adding up tenths leaves
  assert.throws(() => lineChart('t', { x: 'x', y: 'y' }, [{ name: 'dots', points }]), RangeError);
});

/** What the kernels are off by, where that is more than rounding. @param {string} name */
const errorLimit = (name) => (/^4-bit/.test(name) ? 0.15 : /^8-bit|^gather/.test(name) ? 0.03 : 1e-4);

test('every kernel that is measured is right, in WebAssembly and natively', async () => {
  const [wasm, native] = [await localKernels('simd'), await nativeKernels()];
  try {
    assert.ok(wasm.names.length > 30);
    for (const [index, name] of wasm.names.entries()) {
      await wasm.prepare(index);
      await native.prepare(index);
      const { operations, bytes } = await wasm.work();
      assert.ok(operations > 0 && bytes > 0, name);
      for (const build of [wasm, native]) {
        await build.run('kernel', 1);
        const error = await build.error();
        assert.ok(error <= errorLimit(name), `${name}, ${build.name}: ${error}`);
      }
    }
    await assert.rejects(native.prepare(wasm.names.length), /no kernel/);
  } finally {
    await native.close();
  }
});

test('bench kernels compares with native code', async () => {
  const { result, markdown, svg } = await report('kernels', 'kernels', '--only', 'matvec Q4,exp', '--repeats', '3', '--ms', '2');
  const names = result.rows.map((/** @type {{kernel: string}} */ { kernel }) => kernel);
  assert.deepEqual(names, ['matvec Q4_1', 'exp']);
  for (const { wasm, nativeKernel, nativeLoop, share, bytesPerSecond, error } of result.rows) {
    for (const { median, max } of [wasm, nativeKernel, nativeLoop]) assert.ok(median > 0 && max >= median);
    assert.ok(share.min > 0 && share.min <= share.median && share.median <= share.max);
    assert.ok(bytesPerSecond > 0 && error > 0 && error < 1e-4);
  }
  assert.match(markdown, /\| matvec Q4_1 \|/);
  assert.equal(svg.match(/<rect x="230"/g)?.length, 2);
  await assert.rejects(report('kernels', 'kernels', '--only', 'nothing'), /only names none of the kernels/);
});

test('the time of a token by phase, in a build of its own', async () => {
  const shipped = await WebAssembly.compile(await readFile(join(root, 'build/halfspace.simd.wasm')));
  assert.deepEqual(WebAssembly.Module.imports(shipped), [{ module: 'env', name: 'memory', kind: 'memory' }]);
  assert.ok(!WebAssembly.Module.exports(shipped).some(({ name }) => /profile/.test(name)));

  const engine = await Engine.load(randomModel({ arch: 'llama' }), { wasm: builtProfiles() });
  const ids = engine.tokenize((await readFile(BOOK, 'utf8')).slice(0, 4000));
  const session = new Session(engine, 2100);
  const read = await session.profilePrefill(ids.slice(0, 2060), 'dense');
  const next = ids.slice(2060, 2064);
  const began = performance.now();
  const sparse = session.profileRound(next, { strength: 'fast', r: 16, denseAbove: 1 });
  const took = performance.now() - began;
  const dense = session.profileRound(next, 'dense');
  const ofLeaves = ['attention: leaves', 'attention: screen', 'attention: report', 'attention: far field'];
  for (const phase of ofLeaves) assert.ok(sparse[phase] > 0 && dense[phase] === 0 && read[phase] === 0, phase);
  const ofAll = [
    'norm, add, quantise',
    'q, k, v',
    'rope, append',
    'attention: exact',
    'attention output',
    'gate, up',
    'activation',
    'down',
  ];
  for (const phases of [read, sparse, dense]) for (const phase of ofAll) assert.ok(phases[phase] > 0, phase);
  assert.ok(sparse.logits > 0 && sparse.sampling > 0 && sparse.JavaScript > 0 && read.logits === 0 && read.seal > 0);
  const sum = Object.values(sparse).reduce((a, b) => a + b, 0);
  assert.ok(sum > 0 && sum <= took, `${sum} of ${took}`);
  engine.close();
});

test('bench decode and prefill by phase', async () => {
  const common = ['--profile', '--model', await modelPath(), '--file', BOOK, '--repeats', '1'];
  const { result, markdown } = await report('decode-profile', 'decode', ...common, '--contexts', '24,40', '--tokens', '2');
  const prefill = await report('prefill-profile', 'prefill', ...common, '--lengths', '30');
  const of = (/** @type {{rows: {tokens: number, mode: string}[]}} */ { rows }) => rows.map(({ tokens, mode }) => `${tokens} ${mode}`);
  assert.deepEqual(of(result), ['24 dense', '24 hsr', '40 dense', '40 hsr']);
  assert.deepEqual(of(prefill.result), ['30 dense', '30 hsr']);
  for (const { ms, phases, percent } of [...result.rows, ...prefill.result.rows]) {
    const sum = (/** @type {Record<string, number>} */ of) => Object.values(of).reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(sum(phases) - ms) < 0.02 * ms && Math.abs(sum(percent) - 100) < 2, JSON.stringify({ ms, phases, percent }));
  }
  assert.match(markdown, /\| gate, up +\|/);
  await assert.rejects(report('decode', 'decode', ...common, '--threads', '2'), /threads must be 1 with --profile/);
  await assert.rejects(report('decode', 'decode', ...common, '--peers'), /peers have no phases/);
});

test('bench load', async () => {
  const { result } = await report('load', 'load', '--model', await modelPath(), '--repeats', '2');
  const { ms, firstMs, loadMs, weightBytes, kvBytes, budgetBytes, coreBytes, growthBytes } = result;
  assert.ok(loadMs.min > 0 && ms.min > loadMs.min && ms.median >= ms.min && firstMs >= ms.min);
  assert.ok(weightBytes > 9e7 && kvBytes > 1e5 && budgetBytes === weightBytes + kvBytes + 2 ** 26);
  assert.ok(coreBytes > 0.9 * weightBytes);
  if (process.platform === 'linux') assert.ok(growthBytes > 0.9 * weightBytes, String(growthBytes));
});

test('settings of wllama', () => {
  const names = (/** @type {string[]} */ ...of) => wllamaSettings(of, 3).map(({ name }) => name);
  assert.deepEqual(names('best'), ['default', 'f32']);
  assert.deepEqual(names('all').slice(0, 6), ['default', 'f16:1', 'f32:1', 'fa-f16:1', 'fa-f32:1', 'fa-q8:1']);
  assert.equal(names('all', 'fa-q8:2', 'default').length, 11);
  const parameters = (/** @type {string} */ name) => wllamaSettings([name], 3)[0].parameters;
  assert.deepEqual(parameters('default'), {});
  assert.deepEqual(parameters('f32'), { flash_attn: false, cache_type_k: 'f32', cache_type_v: 'f32', n_threads: 3 });
  assert.deepEqual(parameters('fa-q8:2'), { flash_attn: true, cache_type_k: 'q8_0', cache_type_v: 'q8_0', n_threads: 2 });
  // llama.cpp refuses a quantised cache without flash attention.
  for (const name of ['q8', 'fa', 'f64', ''])
    assert.throws(() => names(name), { code: 'bad-argument', field: 'wllama-settings', value: name });
});

test('native llama.cpp takes the RoPE scaling that ours takes', { timeout: 600_000 }, async () => {
  assert.throws(() => ropeOf({ model: '', ropeScaling: 'ntk' }), { code: 'bad-argument', field: 'rope-scaling' });
  const text =
    'Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had';
  const tops = [];
  for (const rope of [
    {},
    ropeOf({ model: '', ropeScaling: 'linear', ropeFactor: 4 }),
    ropeOf({ model: '', ropeScaling: 'yarn', ropeFactor: 4 }),
  ]) {
    const engine = await Engine.load(await modelPath(), { rope });
    const ids = engine.tokenize(text);
    const logits = await engine.logits(ids);
    engine.close();
    const top = logits.indexOf(Math.max(...logits));
    const share = 1 / logits.reduce((sum, x) => sum + Math.exp(x - logits[top]), 0);
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: /** @type {any} */ ('disabled') });
    const metadataOverrides = /** @type {any} */ ({ llama: ropeMetadata(rope) });
    const model = await llama.loadModel({ modelPath: await modelPath(), gpuLayers: 0, metadataOverrides });
    const sequence = (await model.createContext({ contextSize: 128, threads: 1 })).getSequence();
    const all = /** @type {import('node-llama-cpp').Token[]} */ (ids);
    const generateNext = { probabilities: true, options: { temperature: 0 } };
    const results = await sequence.controlledEvaluate([...all.slice(0, -1), [all[all.length - 1], { generateNext }]]);
    const theirs = results[results.length - 1]?.next.probabilities?.get(/** @type {import('node-llama-cpp').Token} */ (top)) ?? 0;
    // Theirs rounds activations to 8 bits, and ours the cache: a tenth is what rounding alone may move.
    assert.ok(Math.abs(theirs - share) < 0.2 * share, `${JSON.stringify(rope)}: ${share} ours, ${theirs} theirs`);
    tops.push(`${top} ${share.toFixed(2)}`);
    await llama.dispose();
  }
  assert.equal(new Set(tops).size, 3, String(tops));
});

test('states of llama.cpp: a run goes on from what the one before has left', async () => {
  const folder = join(await mkdtemp(join(tmpdir(), 'halfspace-')), 'states');
  const ids = Array.from({ length: 50 }, (_, i) => i);
  /** @param {number} [breaksAt] tokens after which evaluation fails */
  const sequence = (breaksAt = Infinity) => {
    /** @type {string[]} */
    const calls = [];
    let at = 0;
    return {
      calls,
      async controlledEvaluate(/** @type {any[]} */ tokens) {
        assert.equal(tokens[0], at);
        at += tokens.length;
        if (at > breaksAt) throw new Error('stopped');
        calls.push(`evaluate to ${at}`);
        return [];
      },
      async saveStateToFile(/** @type {string} */ path) {
        await writeFile(path, String(at));
        return { fileSize: 1 };
      },
      async loadStateFromFile(/** @type {string} */ path) {
        at = Number(await readFile(path, 'utf8'));
        calls.push(`load ${at}`);
      },
    };
  };
  const states = new States({ folder, piece: 16 }, ['model']);
  const [first, second, third, other] = [sequence(40), sequence(), sequence(), sequence()];
  await assert.rejects(states.read(first, 0, ids), /stopped/);
  assert.deepEqual(first.calls, ['evaluate to 16', 'evaluate to 32']);
  assert.deepEqual(
    (await readdir(folder)).map((name) => name.split('-')[1]),
    ['32.state'],
  );
  await states.read(second, 0, ids);
  assert.deepEqual(second.calls, ['load 32', 'evaluate to 48', 'evaluate to 50']);
  // A shorter context before: what is read already is not loaded again.
  await states.read(third, 0, ids.slice(0, 10));
  await states.read(third, 10, ids);
  assert.deepEqual(third.calls, ['evaluate to 10', 'load 48', 'evaluate to 50']);
  await new States({ folder, piece: 16 }, ['other model']).read(other, 0, ids.slice(0, 20));
  assert.deepEqual(other.calls, ['evaluate to 16', 'evaluate to 20']);
});

test('busy processes run beside a measurement, and end with it', async () => {
  const runs = (/** @type {number} */ pid) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  /** @type {number[]} */
  let seen = [];
  const failing = besideHogs(2, async (pids) => {
    seen = pids;
    assert.ok(pids.length === 2 && pids.every(runs));
    throw new Error('failed');
  });
  await assert.rejects(failing, /failed/);
  while (seen.some(runs)) await new Promise((resolve) => setTimeout(resolve, 5));
  await assert.rejects(
    besideHogs(-1, async () => {}),
    { code: 'bad-argument', field: 'hog' },
  );
});
