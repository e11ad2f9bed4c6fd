/** `bench decode`: decode time at several contexts, dense and hsr step by step in turn on the same cache, and prefill speed. */
import { Context } from '../../context.js';
import { compareDistributions } from '../../distributions.js';
import { HalfspaceError } from '../../errors.js';
import { loadEngine, medianAndMin, printJson, progress, readText, round } from '../common.js';
import { environment } from './report.js';

/** @param {import('../common.js').ModelOptions & {file: string, contexts: number[], repeats: number}} options */
export async function decode(options) {
  const text = await readText(options.file);
  const engine = await loadEngine(options);
  const ids = engine.tokenize(text);
  const contexts = options.contexts.toSorted((a, b) => a - b);
  const needed = (contexts.at(-1) ?? 0) + options.repeats;
  if (contexts[0] < 1 || options.repeats < 1 || needed > ids.length) {
    throw new HalfspaceError('bad-argument', `contexts need ${needed} tokens, the text has ${ids.length}`, {
      field: 'contexts',
      value: needed,
      limit: ids.length,
    });
  }
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: needed, kv: engine.kv });
  const bar = progress('prefill', 'tokens');
  const rows = [];
  for (const n of contexts) {
    const part = ids.slice(context.length, n);
    context.setAttention('hsr'); // as the engine prefills by default
    const start = performance.now();
    await context.prefill(part, { logits: 'none', onBatch: bar.update });
    bar.stop();
    const prefillTokensPerSecond = round((part.length / (performance.now() - start)) * 1000, 1);
    rows.push({ context: n, prefillTokensPerSecond, ...decodeInTurn(context, ids, n, options.repeats) });
    if (!options.json) printRow(rows[rows.length - 1], rows.length === 1);
  }
  context.release();
  const { variant, threads, kv } = engine.info;
  engine.close();
  if (options.json) printJson({ ...environment(variant), threads, kv, rows });
}

/**
 * @param {Context} context
 * @param {number[]} ids
 * @param {number} n
 * @param {number} repeats
 */
function decodeInTurn(context, ids, n, repeats) {
  /** @type {Record<'dense' | 'hsr', number[]>} */
  const times = { dense: [], hsr: [] };
  let kl = 0;
  let agree = 0;
  let exact = 0;
  for (let i = 0; i < repeats; i++) {
    /** @type {Float32Array | undefined} */
    let reference;
    for (const mode of /** @type {const} */ (['dense', 'hsr'])) {
      context.setAttention(mode);
      context.resetStats();
      const start = performance.now();
      context.decode(ids[n + i]);
      times[mode].push(performance.now() - start);
      if (mode === 'dense') reference = context.logits().slice();
      else exact += context.stats().exactFraction;
      if (reference && mode === 'hsr') {
        const compared = compareDistributions(reference, context.logits());
        kl += compared.kl;
        agree += compared.sameTop ? 1 : 0;
      }
      // The token stays in the cache as the sparse pass left it; the next one follows.
      if (mode === 'dense') context.truncate(n + i);
    }
  }
  const [dense, hsr] = [medianAndMin(times.dense), medianAndMin(times.hsr)];
  return {
    dense,
    hsr,
    ratio: round(dense.median / hsr.median),
    exactFraction: round(exact / repeats, 4),
    kl: round(kl / repeats, 5),
    top1Agreement: agree / repeats,
  };
}

/** @param {{context: number, prefillTokensPerSecond: number, dense: {median: number}, hsr: {median: number}, ratio: number, exactFraction: number, kl: number}} row @param {boolean} first */
function printRow(row, first) {
  if (first) process.stdout.write('context  prefill tok/s  dense ms  hsr ms  dense/hsr  exact %       KL\n');
  const cells = [
    [row.context, 7],
    [row.prefillTokensPerSecond, 15],
    [row.dense.median, 10],
    [row.hsr.median, 8],
    [row.ratio, 11],
    [round(100 * row.exactFraction), 9],
    [row.kl, 9],
  ];
  process.stdout.write(`${cells.map(([value, width]) => String(value).padStart(width)).join('')}\n`);
}
