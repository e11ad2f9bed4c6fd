/** Time per token at several lengths of the context: the document's first tokens. */
import { element } from '../element.js';
import { Chart } from '../view/chart.js';
import { Beginnings } from '../beginnings.js';
import { labelled, numbersTable, setText } from '../view/dom.js';
import { download, report } from '../view/download.js';
import { mean, median, percent, short } from '../view/format.js';
import { racedAttention, racedName } from '../raced.js';
import { Trial } from '../view/trial.js';

const LENGTHS = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768];

/** @typedef {{context: number, msDense: number, ms: number, ratio: number, kl: number, exactFraction: number}} Row */

/**
 * Lengths to measure at, the longest first: what is left is as many tokens as are decoded.
 * @param {number} most tokens of the prefix, up to the document's end
 * @param {number} decoded
 */
function lengthsOf(most, decoded) {
  const longest = most - decoded;
  return longest < 2 ? [] : [longest, ...LENGTHS.filter((length) => length < 0.9 * longest).toReversed()];
}

/** @param {import('../app.js').App} app */
export function mountSweep(app) {
  const section = /** @type {HTMLElement} */ (document.getElementById('sweep'));
  const tokens = element('input', { id: 'sweep-tokens', type: 'number', min: '1', max: '64', value: '8', required: true });
  const image = element('button', { id: 'sweep-png', type: 'button', className: 'quiet' }, 'Save chart as PNG');
  const fields = [labelled('Tokens at each length', tokens)];
  const trial = new Trial(app, { id: 'sweep', label: 'Measure', job: 'measuring lengths', work: sweep, fields, savers: [image] });
  const state = element('p', { id: 'sweep-state', 'aria-live': 'polite' });
  const heads = ['tokens in context', 'dense, ms', 'hsr, ms', 'speed-up', 'exact', 'KL'];
  const { table, fill } = numbersTable('Median ms per token', heads);
  section.append(
    element('p', {
      textContent:
        'Dense attention takes longer the longer the text is. Here both decode the text’s own words after more and more of it. Below 2048 tokens hsr is dense unless the settings say otherwise, as that is faster there.',
    }),
    trial.form,
    state,
  );
  const chart = new Chart(section, {
    x: 'tokens in the context',
    y: 'ms per token',
    series: [
      { label: 'dense', look: 'dense' },
      { label: 'hsr', look: 'hsr' },
    ],
  });
  section.append(element('div', { className: 'numbers-scroll' }, table));
  /** The shortest context first. @type {Row[]} */
  let rows = [];

  function draw() {
    const cells = rows.map(({ context, msDense, ms, ratio, exactFraction, kl }) => [
      String(context),
      short(msDense),
      short(ms),
      `${short(ratio)}×`,
      percent(exactFraction),
      short(kl),
    ]);
    const summary = cells.map(([context, dense, hsr]) => `at ${context} tokens dense ${dense}, hsr ${hsr} ms`).join('; ');
    const column = (/** @type {'context' | 'msDense' | 'ms'} */ name) => rows.map((row) => row[name]);
    chart.set([column('context'), column('msDense'), column('ms')], `Time per token. ${summary || 'Nothing measured yet.'}`);
    fill(cells);
    table.hidden = chart.element.hidden = rows.length === 0;
  }

  function clear() {
    rows = [];
    trial.finish(undefined);
    setText(state, app.document ? '' : 'Open a document, then measure.');
    draw();
  }

  /** @param {AbortSignal} signal */
  async function sweep(signal) {
    const { engine, document: open } = app;
    if (!engine || !open) return;
    clear();
    const attention = racedAttention(app.settings);
    const decoded = tokens.valueAsNumber;
    const { ctx } = app.settings;
    const lengths = lengthsOf(open.tokens.end, decoded);
    const beginnings = new Beginnings(engine, open.prefix, { ctx, signal });
    try {
      for (const [i, context] of lengths.entries()) {
        setText(state, `Measuring at ${context} tokens…`);
        const prefix = await beginnings.first(context - 1);
        const [last, ...follow] = open.prefix.ids.slice(context - 1, context + decoded);
        const compared = [];
        for await (const row of engine.compare([last], { prefix, follow, maxTokens: decoded, attention, ctx, signal })) compared.push(row);
        rows.unshift(rowOf(context, compared));
        app.tell('progress', { label: 'Lengths', done: i + 1, total: lengths.length });
        draw();
      }
    } finally {
      beginnings.free();
      setText(state, rows.length < lengths.length ? 'Not measured to the end.' : '');
    }
    trial.finish(report(app, 'sweep', { attention, tokensEach: decoded, rows }));
    setText(state, stateOf(rows, racedName(app.settings)));
  }

  image.addEventListener('click', async () => download(await chart.png(), 'halfspace-sweep.png'));
  app.on('document', clear);
  clear();
}

/** @param {number} context @param {import('../../web/generation/compare.js').Compared[]} compared @returns {Row} */
function rowOf(context, compared) {
  const [msDense, ms] = [median(compared.map((row) => row.msDense)), median(compared.map((row) => row.ms))];
  const exactFraction = mean(compared.map(({ stats }) => stats.exactFraction));
  return { context, msDense, ms, ratio: msDense / ms, kl: mean(compared.map(({ kl }) => kl)), exactFraction };
}

/** @param {Row[]} rows @param {string} raced */
function stateOf(rows, raced) {
  const [first, last] = [rows[0], rows[rows.length - 1]];
  if (!last) return 'The document is too short to be measured.';
  return `From ${first.context} to ${last.context} tokens, dense takes ${short(last.msDense / first.msDense)} times as long, hsr ${short(last.ms / first.ms)} times (${raced}).`;
}
