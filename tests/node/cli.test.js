/** The command line: results on stdout, one JSON object on the last line, one line and status 1 on bad input. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { CLI, runCli } from './helpers/cli.js';
import { modelPath } from './helpers/model.js';

let model = '';
let folder = '';

before(async () => {
  model = await modelPath();
  folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
});

/** @param {string} stdout */
const lastJson = (stdout) => JSON.parse(/** @type {string} */ (stdout.trimEnd().split('\n').at(-1)));

test('generate prints every field', async () => {
  const { status, stdout } = await runCli(
    'generate',
    '--model',
    model,
    '--prompt',
    'The capital of France is',
    '--max-tokens',
    '4',
    '--attention',
    'dense',
    '--threads',
    '2',
    '--json',
  );
  assert.equal(status, 0);
  const result = lastJson(stdout);
  assert.equal(result.promptTokens, 5);
  assert.equal(result.tokens.length, 4);
  assert.match(result.text, /^ Paris/);
  assert.ok(result.decodeMsPerToken.median >= result.decodeMsPerToken.min && result.prefillTokensPerSecond > 0);
  assert.ok(['simd', 'relaxed'].includes(result.variant) && result.threads === 2 && result.memoryBytes > 9e7);
  assert.deepEqual([result.attention.mode, result.attention.exactFraction], ['dense', 1]);
});

test('the same seed gives the same text, another gives another', async () => {
  const sample = (/** @type {string} */ seed) =>
    runCli('generate', '--model', model, '--prompt', 'Once', '--max-tokens', '12', '--temp', '1', '--seed', seed);
  const [a, b, c] = [await sample('1'), await sample('1'), await sample('2')];
  assert.equal(a.stdout, b.stdout);
  assert.notEqual(a.stdout, c.stdout);
});

test('inspect, tokenize, logits and perplexity', async () => {
  const inspected = lastJson((await runCli('inspect', '--model', model, '--json')).stdout);
  assert.deepEqual([inspected.arch, inspected.nLayers, inspected.types.Q4_1], ['llama', 30, 210]);
  assert.deepEqual(lastJson((await runCli('tokenize', '--model', model, '--text', 'Alice was beginning', '--json')).stdout), {
    tokens: [7356, 436, 3616],
  });
  const prompt = join(folder, 'prompt.txt');
  const out = join(folder, 'logits.f32');
  await writeFile(prompt, 'The capital of France is');
  const logits = lastJson((await runCli('logits', '--model', model, '--prompt-file', prompt, '--out', out, '--json')).stdout);
  assert.equal(logits.top[0].text, ' Paris');
  assert.equal((await readFile(out)).length, 49152 * 4);
  const ppl = lastJson(
    (
      await runCli(
        'perplexity',
        '--model',
        model,
        '--file',
        fileURLToPath(new URL('../../demo/documents/alice.txt', import.meta.url)),
        '--ctx',
        '300',
        '--eval-tokens',
        '100',
        '--attention',
        'hsr',
        '--against',
        'dense',
        '--json',
      )
    ).stdout,
  );
  assert.ok(ppl.ppl > 2 && ppl.ppl < 60 && ppl.tokens === 100 && ppl.kl < 1e-6 && ppl.top1Agreement === 1);
});

const BOOK = fileURLToPath(new URL('../../demo/documents/alice.txt', import.meta.url));

/** @param {string[]} args @returns {Promise<any>} */
async function benchmark(...args) {
  const { status, stdout, stderr } = await runCli('bench', ...args, '--json');
  assert.equal(status, 0, stderr);
  const result = lastJson(stdout);
  assert.ok(
    ['simd', 'relaxed'].includes(result.variant) && result.runtime === `Node ${process.versions.node}` && result.machine.cores >= 1,
  );
  return result;
}

test('bench is bench decode', async () => {
  for (const name of [[], ['decode']]) {
    const { rows } = await benchmark(...name, '--model', model, '--file', BOOK, '--contexts', '40,60', '--repeats', '2', '--tokens', '3');
    assert.deepEqual(
      rows.map((/** @type {{context: number}} */ row) => row.context),
      [40, 60],
    );
    // Contexts this short are dense.
    for (const { kl, top1Agreement, exactFraction } of rows) assert.deepEqual([kl < 1e-6, top1Agreement, exactFraction], [true, 1, 1]);
  }
});

test('bench quality compares every configuration with dense', async () => {
  const { rows, prefix, prefill } = await benchmark(
    ...['quality', '--model', model, '--file', BOOK, '--ctx', '400', '--eval-tokens', '8', '--certified-tokens', '3'],
  );
  const named = (/** @type {string} */ start) => rows.find((/** @type {{name: string}} */ { name }) => name.startsWith(start));
  assert.equal(prefix, 391);
  assert.deepEqual(
    rows.map((/** @type {{tokens: number}} */ { tokens }) => tokens),
    rows.map((/** @type {{name: string}} */ { name }) => (name.startsWith('certified') ? 3 : 8)),
  );
  const [dense] = rows;
  assert.deepEqual([dense.name, dense.kl, dense.top1Agreement, dense.exact, dense.perplexityChange], ['dense', 0, 1, 1, 0]);
  for (const row of rows) {
    assert.ok(row.perplexity > 1 && row.perplexity < 500 && row.kl >= 0 && row.kl < 1, JSON.stringify(row));
    for (const share of ['exact', 'valued', 'screened', 'refined', 'top1Agreement']) assert.ok(row[share] >= 0 && row[share] <= 1, share);
  }
  const shares = ['fast theta=3e-3', 'fast theta=1e-3', 'fast theta=3e-4'].map((name) => named(name).exact);
  assert.ok(shares[0] < shares[1] && shares[1] < shares[2] && shares[2] < 1, String(shares));
  // 119 of the keys: the first query sees 392, the last one 399.
  assert.ok(Math.abs(named('exact r=n^0.8').exact - 119 / 395.5) < 1e-3);
  assert.ok(named('exact r=64').kl > named('exact r=256').kl);
  assert.ok(named('fast theta=1e-3').kl < named('fast, no far field').kl);
  for (const row of [named('certified eps=0.1'), named('certified eps=0.1 of')])
    assert.ok(row.errorRelative > 0 && row.kl < 0.02, row.name);
  assert.ok(named('certified eps=0.1 of').errorRelative <= 0.1);
  assert.equal(prefill.perplexityChange, named('prefill hsr').perplexityChange);
  assert.ok(Math.abs(prefill.perplexityChange) < 0.02);
});

test('bench scaling measures a model’s keys and Gaussian ones', async () => {
  const { sources, captured } = await benchmark(
    ...['scaling', '--model', model, '--file', BOOK, '--ctx', '300', '--sizes', '4096,2048', '--layers', '9'],
  );
  assert.equal(captured, 300);
  assert.equal(sources.length, 2);
  for (const { rows, exponents } of sources) {
    assert.deepEqual(
      rows.map((/** @type {{n: number}} */ { n }) => n),
      [2048, 4096],
    );
    for (const { ways, bytesPerKey, bytesPerKeyLong } of rows) {
      assert.deepEqual(Object.keys(ways), ['dense', 'fast', 'fast r=64', 'fast r=n^0.8', 'certified 0.1', 'top 64', 'report']);
      assert.ok(bytesPerKeyLong.cache > 128 && bytesPerKeyLong.cache < 160 && bytesPerKeyLong.index < bytesPerKeyLong.cache);
      assert.ok(bytesPerKey.cache > bytesPerKeyLong.cache && bytesPerKey.index > bytesPerKeyLong.index);
      assert.equal(ways.dense.error, 0);
      assert.ok(ways['certified 0.1'].error <= 0.1);
      // Both find the 64 keys of the largest products, so attention to them is the same.
      assert.equal(ways['top 64'].error, ways.report.error);
      // Dropping all other keys is far worse than a far field, and hopeless where attention is flat.
      assert.ok(ways.report.error > 0.1 && ways.report.error < 20);
      assert.ok(ways['fast r=64'].error > 0 && ways['fast r=64'].error < ways['top 64'].error);
    }
    for (const exponent of Object.values(exponents)) assert.ok(Number.isFinite(exponent));
  }
  assert.ok(sources[0].rows[0].ways.report.error < sources[1].rows[0].ways.report.error);
  assert.ok(sources[0].rows[0].ways.fast.error < 0.1);
});

test('bench attention compares with dense f32', async () => {
  for (const from of [[], ['--model', model, '--file', BOOK, '--ctx', '300']]) {
    const { rows, queryHeads, kvHeads } = await benchmark('attention', ...from, '--sizes', '2048');
    assert.deepEqual([queryHeads, kvHeads, rows.length, rows[0].n], [9, 3, 1, 2048]);
    const { 'dense f32': f32, 'dense int8': int8, fast } = rows[0].ways;
    assert.equal(f32.error, 0);
    assert.ok(int8.error > 0 && int8.error < 0.02, int8.error);
    assert.ok(fast.error > 0 && fast.error < 0.3, fast.error);
    assert.ok(fast.exactFraction > 0 && fast.exactFraction <= 1 && fast.leavesOpened >= 0 && fast.leavesOpened <= 1);
  }
});

test('bench theory compares partition trees with theory and with the index', async () => {
  const { trees, indexes, notes, reported } = await benchmark('theory', '--sizes', '4096,256,1024');
  const sizes = (/** @type {{rows: {n: number}[]}} */ { rows }) => rows.map(({ n }) => n);
  const kinds = ['ball', 'Gaussian', 'sphere', 'cube face'];
  assert.equal(reported, 16);
  assert.deepEqual(
    trees.map((/** @type {{d: number, keys: string}} */ { d, keys }) => [d, keys]),
    [2, 3, 4].flatMap((d) => kinds.map((keys) => [d, keys])),
  );
  for (const tree of trees) {
    assert.deepEqual(sizes(tree), [256, 1024, 4096]);
    assert.equal(tree.theory.power, tree.d === 4 ? 0.5 : 0);
    assert.ok(tree.d === 4 ? tree.theory.fitted === 0.5 : tree.theory.fitted > 0.1 && tree.theory.fitted < 0.2);
    for (const { n, nodes, keys, treeUs, scanUs } of tree.rows) {
      assert.ok(nodes >= 3 && keys >= reported && keys <= n, `d ${tree.d}, ${tree.keys}: ${nodes} nodes, ${keys} keys of ${n}`);
      assert.ok(treeUs > 0 && scanUs > 0);
    }
    assert.ok(tree.rows[2].keys < 4096 / 3);
    const { exponent, rms, rmsOfTheory } = tree.growth.work;
    assert.ok(exponent < (tree.keys === 'cube face' ? 0.9 : 0.55) && rms < 0.5 && rmsOfTheory < 0.5, JSON.stringify(tree.growth.work));
  }
  for (const [d, face] of trees.filter((/** @type {{keys: string}} */ { keys }) => keys === 'cube face').entries())
    assert.ok(face.growth.work.exponent > trees[4 * d].growth.work.exponent + 0.1, 'a face of a cube is the hard case');
  assert.deepEqual(
    indexes.map((/** @type {{d: number, theory: {power: number}}} */ { d, theory }) => [d, theory.power]),
    [
      [16, 1 - 1 / 8],
      [64, 1 - 1 / 32],
    ],
  );
  for (const index of indexes) {
    assert.deepEqual(sizes(index), [256, 1024, 4096]);
    for (const { n, screened, refined, exact } of index.rows) assert.ok(screened <= n && refined <= n && exact >= reported && exact < 20);
  }
  assert.equal(notes.length, 5);
  assert.match(notes[1], /^d = 3: work grows no faster than log n for ball .*, sphere \(n\^0\.\d+\); faster for cube face \(n\^0\.\d+\);/);
});

test('bad input is one line on stderr and status 1', async () => {
  const cases = [
    [['generate', '--model', '/nonexistent.gguf', '--prompt', 'a'], /cannot open/],
    [['tokenize', '--model', 'http://127.0.0.1:9/model.gguf', '--text', 'a'], /cannot reach http:\/\/127\.0\.0\.1:9/],
    [['compare', '--model', model, '--prompt-file', CLI, '--question', 'a', '--ctx', '90'], /no room for the document/],
    [['generate', '--model', model], /--prompt/],
    [['generate', '--model', model, '--prompt', 'a', '--threads', '17'], /threads must be auto or 1 to 16/],
    [['generate', '--model', model, '--prompt', 'a', '--attention', 'magic'], /magic/],
    [['generate', '--model', model, '--prompt', 'a b c d e f g', '--ctx', '3'], /7 tokens, the context holds 3/],
    [['tokenize', '--model', CLI, '--text', 'a'], /not a GGUF file/],
    [['pull', 'gpt5'], /unknown model gpt5/],
    [['nonsense'], /unknown command/],
    [['bench', '--model', model], /--file/],
    [['bench', 'scaling', '--model', model], /file is missing/],
    [['bench', 'scaling', '--sizes', '100'], /sizes must be an integer from 128/],
    [['bench', 'theory', '--sizes', '256'], /sizes must be two or more/],
    [['bench', 'theory', '--sizes', '256,32'], /sizes must be an integer from 64/],
    [['bench', 'attention', '--file', BOOK, '--model', model, '--layer', '30', '--ctx', '10'], /layer must be an integer from 0 to 29/],
    [['bench', 'decode', '--file', BOOK, '--model', model, '--contexts', '90000'], /contexts need 90008 tokens/],
    [['bench', 'attention', '--runtime', 'chromium', '--peers'], /do not run in chromium/],
    [['bench', 'quality', '--file', BOOK, '--model', model, '--ctx', '10', '--eval-tokens', '9'], /eval-tokens must be/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = await runCli(.../** @type {string[]} */ (args));
    assert.equal(status, 1, String(args));
    assert.match(stderr, /** @type {RegExp} */ (message));
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.equal(stdout, '');
  }
});
