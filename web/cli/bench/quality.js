/** `bench quality`: speed against error of attention inside the engine, over the same tokens after the same prefix. */
import { checkInteger } from '../../checks.js';
import { badArgument } from '../../errors.js';
import { Context } from '../../generation/context.js';
import { compareDistributions, logProbability } from '../../generation/distributions.js';
import { nextTurn } from '../../generation/next-turn.js';
import { loadEngine, progress, readText } from '../common.js';
import { medianAndMin, percent, round, significant } from '../numbers.js';
import { environment, Report } from './report.js';

/**
 * @typedef {import('../../attention/params.js').EngineAttention} EngineAttention
 * @typedef {import('../../engine.js').Engine} Engine
 *
 * @typedef {object} Run a configuration that decodes
 * @property {string} name
 * @property {Context} context
 * @property {number} tokens it decodes
 * @property {number[]} ms per token
 * @property {number} loss sum of -log p of the tokens that follow
 * @property {number} denseLoss the same of dense attention over the same tokens
 * @property {number} kl sum
 * @property {number} agree tokens with the same top token as dense
 */

/** Of certified attention in the model, means over KV heads and query heads. */
const TARGETS = { refined: 0.25, exact: 0.1, prefill: 0.005 };
const DEFAULT = 'fast (default)';
const CERTIFIED = 'certified eps=0.1';
const CERTIFIED_OUTPUT = 'certified eps=0.1 of the output';
const HSR_PREFILL = 'prefill hsr, then dense';

/**
 * Dense first: the others are compared with it.
 * @param {number} n keys
 * @returns {[string, EngineAttention][]}
 */
function configurations(n) {
  const paper = Math.ceil(n ** 0.8);
  return [
    ['dense', { mode: 'dense' }],
    [DEFAULT, {}],
    ['fast theta=3e-3', { theta: 3e-3 }],
    ['fast theta=1e-3', {}],
    ['fast theta=3e-4', { theta: 3e-4 }],
    ['fast, far field first order', { farField: 'first' }],
    ['fast, no far field', { farField: false }],
    ['fast r=64', { r: 64 }],
    ['fast r=256', { r: 256 }],
    [`fast r=n^0.8=${paper}`, { r: paper }],
    [`exact r=n^0.8=${paper} (the paper)`, { strength: 'exact', r: paper }],
    ['exact r=64', { strength: 'exact', r: 64 }],
    ['exact r=256', { strength: 'exact', r: 256 }],
    [CERTIFIED, { strength: 'certified', eps: 0.1 }],
    [CERTIFIED_OUTPUT, { strength: 'certified', eps: 0.1, epsOf: 'output' }],
  ];
}

/** @param {import('../common.js').ModelOptions & {file: string, ctx: number, evalTokens: number, certifiedTokens: number, out?: string}} options */
export async function quality(options) {
  const text = await readText(options.file);
  const engine = await loadEngine(options);
  const ids = engine.tokenize(text).slice(0, checkInteger('ctx', options.ctx, 3, 2 ** 20));
  const evalTokens = checkInteger('eval-tokens', options.evalTokens, 1, ids.length - 2);
  if (ids.length < options.ctx) throw badArgument('file', `has ${ids.length} tokens, ctx is ${options.ctx}`, ids.length, options.ctx);
  // The last token is only predicted.
  const prefix = ids.slice(0, ids.length - evalTokens - 1);
  const exact = await prefilled(engine, prefix, { mode: 'dense' });
  const hsr = await prefilled(engine, prefix, { prefill: 'hsr' });
  const runs = configurations(prefix.length).map(([name, attention]) =>
    // What is named is what is measured, however short the context; the default alone falls back to dense.
    start(
      engine,
      name,
      exact.context,
      name === DEFAULT ? attention : { denseBelow: 0, denseAbove: 1, ...attention },
      name.startsWith(CERTIFIED) ? Math.min(options.certifiedTokens, evalTokens) : evalTokens,
    ),
  );
  runs.push(start(engine, HSR_PREFILL, hsr.context, { mode: 'dense' }, evalTokens));
  await decodeInTurn(runs, ids.slice(prefix.length));
  const rows = runs.map(figures);
  const of = (/** @type {string} */ name) => /** @type {ReturnType<typeof figures>} */ (rows.find((row) => row.name === name));
  const where = environment(engine.info.variant, { threads: engine.info.threads });
  const result = {
    ...where,
    kv: engine.kv,
    prefix: prefix.length,
    rows,
    prefill: { exactTokensPerSecond: exact.speed, hsrTokensPerSecond: hsr.speed, perplexityChange: of(HSR_PREFILL).perplexityChange },
  };
  engine.close();
  const report = new Report('quality', where);
  describe(report, result, of(CERTIFIED));
  await report.publish(result, options);
}

/** @param {Engine} engine @param {number[]} ids @param {EngineAttention} attention */
async function prefilled(engine, ids, attention) {
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: ids.length, kv: engine.kv });
  context.setAttention(attention);
  const bar = progress('prefill', 'tokens');
  const began = performance.now();
  await context.prefill(ids, { logits: 'none', onBatch: bar.update });
  bar.stop();
  return { context, speed: round((1000 * ids.length) / (performance.now() - began), 1) };
}

/**
 * @param {Engine} engine
 * @param {string} name
 * @param {Context} parent
 * @param {EngineAttention} attention
 * @param {number} tokens
 * @returns {Run}
 */
function start(engine, name, parent, attention, tokens) {
  const context = new Context(engine.wasm, engine.model, engine.config, { capacity: tokens, kv: engine.kv, parent });
  context.setAttention(attention);
  context.resetStats();
  return { name, context, tokens, ms: [], loss: 0, denseLoss: 0, kl: 0, agree: 0 };
}

/**
 * Each token in every configuration before the next one, so that a machine that slows down slows all of them.
 * @param {Run[]} runs dense first
 * @param {number[]} ids one more than is decoded
 */
async function decodeInTurn(runs, ids) {
  const bar = progress('decode', 'tokens');
  for (let i = 0; i + 1 < ids.length; i++) {
    /** @type {Float32Array | undefined} */
    let reference;
    for (const run of runs.filter(({ tokens }) => i < tokens)) {
      const began = performance.now();
      run.context.decode(ids[i]);
      run.ms.push(performance.now() - began);
      const logits = run.context.logits();
      reference ??= logits.slice();
      const { kl, sameTop } = compareDistributions(reference, logits);
      run.kl += kl;
      run.agree += sameTop ? 1 : 0;
      run.loss -= logProbability(logits, ids[i + 1]);
      run.denseLoss -= logProbability(reference, ids[i + 1]);
    }
    bar.update(i + 1, ids.length - 1);
    await nextTurn();
  }
  bar.stop();
}

/** @param {Run} run */
function figures({ name, context, tokens, ms, loss, denseLoss, kl, agree }) {
  const stats = context.stats();
  const share = (/** @type {number} */ keys) => significant(keys / stats.keysVisible, 4);
  return {
    name,
    tokens,
    ms: medianAndMin(ms),
    perplexity: significant(Math.exp(loss / tokens), 5),
    perplexityChange: significant(Math.expm1((loss - denseLoss) / tokens)),
    kl: significant(kl / tokens),
    top1Agreement: significant(agree / tokens, 4),
    exact: share(stats.keysExact),
    valued: share(stats.keysValued),
    screened: share(stats.keysScreened),
    refined: share(stats.keysRefined),
    fellBack: significant(stats.dense / stats.queries),
    errorRelative: significant(stats.errorRelativeMean),
  };
}

/** @typedef {ReturnType<typeof figures>} Figures */

/**
 * @param {Report} report
 * @param {{prefix: number, rows: Figures[], prefill: {exactTokensPerSecond: number, hsrTokensPerSecond: number, perplexityChange: number}}} result
 * @param {Figures} certified
 */
function describe(report, { prefix, rows, prefill }, certified) {
  report.text(`The same tokens after ${prefix} others; KL, top token and perplexity against dense attention over as many tokens`);
  report.table(
    [
      'attention',
      'tokens',
      'ms',
      'min',
      'KL',
      'top-1 %',
      'ppl',
      'ppl +%',
      'exact %',
      'valued %',
      'screened %',
      'refined %',
      'fell back to dense %',
    ],
    rows.map((row) => [
      row.name,
      row.tokens,
      row.ms.median,
      row.ms.min,
      row.kl,
      percent(row.top1Agreement, 1),
      row.perplexity,
      percent(row.perplexityChange),
      percent(row.exact),
      percent(row.valued),
      percent(row.screened),
      percent(row.refined),
      percent(row.fellBack, 1),
    ]),
  );
  report.text(
    `certified (${certified.tokens} tokens, it is slow): mean bound of the relative error ${certified.errorRelative}; ` +
      `refined after 4 bits ${percent(certified.refined)} % (target ${percent(TARGETS.refined)}), ` +
      `exact ${percent(certified.exact)} % (target ${percent(TARGETS.exact)})\n` +
      `prefill tokens/s: exact ${prefill.exactTokensPerSecond}, hsr ${prefill.hsrTokensPerSecond}; ` +
      `perplexity after hsr against exact: ${percent(prefill.perplexityChange, 3)} % (target within ${percent(TARGETS.prefill)})`,
  );
}
