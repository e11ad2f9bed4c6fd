/** The command line: results on stdout, one JSON object on the last line, one line and status 1 on bad input. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { modelPath } from './helpers/model.js';

const CLI = fileURLToPath(new URL('../../web/cli.js', import.meta.url));
let model = '';
let folder = '';

before(async () => {
  model = await modelPath();
  folder = await mkdtemp(join(tmpdir(), 'halfspace-'));
});

/** @param {string[]} args @returns {Promise<{status: number, stdout: string, stderr: string}>} */
const run = (...args) =>
  new Promise((resolve) =>
    execFile(process.execPath, [CLI, ...args], (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  );

/** @param {string} stdout */
const lastJson = (stdout) => JSON.parse(/** @type {string} */ (stdout.trimEnd().split('\n').at(-1)));

test('generate prints every field', async () => {
  const { status, stdout } = await run(
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
    run('generate', '--model', model, '--prompt', 'Once', '--max-tokens', '12', '--temp', '1', '--seed', seed);
  const [a, b, c] = [await sample('1'), await sample('1'), await sample('2')];
  assert.equal(a.stdout, b.stdout);
  assert.notEqual(a.stdout, c.stdout);
});

test('inspect, tokenize, logits and perplexity', async () => {
  const inspected = lastJson((await run('inspect', '--model', model, '--json')).stdout);
  assert.deepEqual([inspected.arch, inspected.nLayers, inspected.types.Q4_1], ['llama', 30, 210]);
  assert.deepEqual(lastJson((await run('tokenize', '--model', model, '--text', 'Alice was beginning', '--json')).stdout), {
    tokens: [7356, 436, 3616],
  });
  const prompt = join(folder, 'prompt.txt');
  const out = join(folder, 'logits.f32');
  await writeFile(prompt, 'The capital of France is');
  const logits = lastJson((await run('logits', '--model', model, '--prompt-file', prompt, '--out', out, '--json')).stdout);
  assert.equal(logits.top[0].text, ' Paris');
  assert.equal((await readFile(out)).length, 49152 * 4);
  const ppl = lastJson(
    (
      await run(
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
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = await run(.../** @type {string[]} */ (args));
    assert.equal(status, 1, String(args));
    assert.match(stderr, /** @type {RegExp} */ (message));
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.equal(stdout, '');
  }
});
