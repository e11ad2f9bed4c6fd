/** `generate` and `compare`: answers, streamed, with their speed. */
import { documentPrompt, questionTokens } from '../chat/document-prompt.js';
import { HalfspaceError } from '../errors.js';
import { loadEngine, printJson, progress, readText } from './common.js';
import { medianAndMin, round } from './numbers.js';

/** @typedef {import('./common.js').ModelOptions} ModelOptions */

/**
 * @param {ModelOptions & {prompt?: string, promptFile?: string, chat?: boolean, maxTokens: number, attention: 'dense' | 'hsr',
 *   theta?: number, temp: number, seed?: number}} options
 */
export async function generate(options) {
  if ((options.prompt === undefined) === (options.promptFile === undefined)) {
    throw new HalfspaceError('bad-argument', 'give --prompt or --prompt-file', { field: 'prompt' });
  }
  const text = options.prompt ?? (await readText(/** @type {string} */ (options.promptFile)));
  const engine = await loadEngine(options);
  /** @type {import('../engine.js').GenerateStats | undefined} */
  let stats;
  /** @type {number[]} */
  const tokens = [];
  let answer = '';
  const bar = progress('prefill', 'tokens');
  const pieces = engine.generate(options.chat ? [{ role: 'user', content: text }] : text, {
    maxTokens: options.maxTokens,
    attention: { mode: options.attention, theta: options.theta },
    sampler: { temperature: options.temp, seed: options.seed },
    onPrefill: bar.update,
    onStats: (s) => (stats = s),
  });
  for await (const piece of pieces) {
    bar.stop();
    tokens.push(piece.id);
    answer += piece.text;
    if (!options.json) process.stdout.write(piece.text);
  }
  const { promptTokens, prefillMs, decodeMs, mode, attention } = /** @type {import('../engine.js').GenerateStats} */ (stats);
  const result = {
    promptTokens,
    prefillTokensPerSecond: round((promptTokens / prefillMs) * 1000),
    decodeMsPerToken: medianAndMin(decodeMs),
    tokens,
    text: answer,
    variant: engine.info.variant,
    threads: engine.info.threads,
    memoryBytes: engine.info.memoryBytes,
    attention: { mode, ...attention },
  };
  engine.close();
  if (options.json) printJson(result);
  else process.stdout.write('\n');
}

/** @param {ModelOptions & {promptFile: string, question: string, maxTokens: number}} options */
export async function compare(options) {
  const document = await readText(options.promptFile);
  const engine = await loadEngine(options);
  const reserve = options.maxTokens + engine.tokenize(options.question).length;
  const prompt = await documentPrompt(engine, document, { reserve });
  const { documentTokens } = prompt;
  const ids = await questionTokens(engine, prompt, [], options.question);
  const bar = progress('prefill', 'tokens');
  // The last token belongs to the generations: its logits start the answer.
  const prefix = await engine.prefill(ids.slice(0, -1), { onPrefill: bar.update });
  bar.stop();
  const speed = round((prefix.length / prefix.prefillMs) * 1000);
  process.stdout.write(
    `${engine.info.name}, ${engine.info.variant} SIMD, threads: ${engine.info.threads}\n${prefix.length} tokens of ${documentTokens} prefilled at ${speed} tokens/s\n\nQ: ${options.question}\n`,
  );
  /** @type {{mode: string, median: number, min: number, exact: string, tokens: number[]}[]} */
  const rows = [];
  for (const mode of /** @type {const} */ (['dense', 'hsr'])) {
    process.stdout.write(`\n${mode}: `);
    /** @type {number[]} */
    const tokens = [];
    const pieces = engine.generate(ids.slice(-1), {
      prefix,
      attention: mode,
      maxTokens: options.maxTokens,
      onStats: (s) => rows.push({ mode, ...medianAndMin(s.decodeMs), exact: `${round(100 * s.attention.exactFraction, 1)} %`, tokens }),
    });
    for await (const piece of pieces) {
      tokens.push(piece.id);
      process.stdout.write(piece.text);
    }
    process.stdout.write('\n');
  }
  prefix.free();
  engine.close();
  const [dense, hsr] = rows;
  const same = dense.tokens.filter((id, i) => id === hsr.tokens[i]).length;
  process.stdout.write(`\n${'attention'.padEnd(10)}${'ms/token median'.padStart(16)}${'min'.padStart(9)}${'keys exact'.padStart(12)}\n`);
  for (const row of rows)
    process.stdout.write(
      `${row.mode.padEnd(10)}${String(row.median).padStart(16)}${String(row.min).padStart(9)}${row.exact.padStart(12)}\n`,
    );
  process.stdout.write(
    `hsr takes ${round(hsr.median / dense.median)} of dense's time; ${same} of ${dense.tokens.length} tokens are the same\n`,
  );
  if (options.json) printJson({ promptTokens: prefix.length, prefillTokensPerSecond: speed, runs: rows, sameTokens: same });
}
