/** How long each token of the answers took, against the context's length. */
import { element } from '../element.js';
import { Chart } from '../view/chart.js';
import { numbersTable, perFrame, setText } from '../view/dom.js';
import { median, percent, short } from '../view/format.js';

/** Points that are kept; the oldest go first. */
const MOST = 2048;
/** Context lengths that share a row of the table. */
const ROW = 512;

/** @typedef {{position: number, ms: number, dense: boolean}} Point */

/** @param {import('../app.js').App} app */
export function mountTimes(app) {
  const section = /** @type {HTMLElement} */ (document.getElementById('times'));
  const certificate = element('p', { id: 'times-certificate', hidden: true });
  const { table, fill } = numbersTable('Median time per token', ['tokens in context', 'dense, ms', 'hsr, ms', 'tokens timed']);
  const note = element('p', {
    textContent: 'Each token of an answer is a point here. Answer with dense and with hsr attention to see both.',
  });
  section.append(note);
  const chart = new Chart(section, {
    x: 'tokens in the context',
    y: 'ms per token',
    series: [
      { label: 'dense: all words', look: 'dense' },
      { label: 'hsr: the words that matter', look: 'hsr' },
    ],
  });
  section.append(element('details', {}, element('summary', { textContent: 'The numbers as a table' }), table), certificate);
  /** @type {Point[]} */
  let points = [];

  const draw = perFrame(() => {
    chart.element.hidden = points.length === 0;
    const sorted = points.toSorted((a, b) => a.position - b.position);
    const column = (/** @type {boolean} */ dense) => sorted.map((point) => (point.dense === dense ? point.ms : null));
    const rows = rowsOf(sorted);
    const summary = rows.map(({ from, dense, hsr }) => `from ${from} tokens: dense ${dense}, hsr ${hsr} ms`).join('; ');
    chart.set([sorted.map(({ position }) => position), column(true), column(false)], `Time per token. ${summary || 'No tokens yet.'}`);
    fill(rows.map(({ from, dense, hsr, count }) => [`${from} to ${from + ROW - 1}`, dense, hsr, String(count)]));
  });

  app.on('token', ({ position, ms, mode, step }) => {
    if (!step) return; // the first token's time is the question's
    points.push({ position, ms, dense: mode === 'dense' });
    if (points.length > MOST) points.shift();
    const { attention } = app.settings;
    certificate.hidden = !(attention.mode === 'hsr' && attention.strength === 'certified');
    if (!certificate.hidden) setText(certificate, certificateOf(step.stats()));
    draw();
  });
  app.on('engine', () => {
    points = [];
    certificate.hidden = true;
    draw();
  });
  draw();
}

/** @param {import('../../web/attention/params.js').AttentionStats} stats of the newest token */
const certificateOf = ({ errorRelativeMean, errorMax, valueNorm }) =>
  `Certificate of the newest token: attention’s output is off by at most ${percent(errorRelativeMean)} of its length on average over heads, and by ${short(errorMax)} at most in any head (the longest value is ${short(valueNorm)} long). This is proved, not estimated.`;

/** @param {Point[]} points */
function rowsOf(points) {
  /** @type {Map<number, Point[]>} */
  const groups = new Map();
  for (const point of points) {
    const from = ROW * Math.floor(point.position / ROW);
    const group = groups.get(from);
    if (group) group.push(point);
    else groups.set(from, [point]);
  }
  const text = (/** @type {Point[]} */ group) => (group.length > 0 ? short(median(group.map(({ ms }) => ms))) : '–');
  return [...groups].map(([from, group]) => ({
    from,
    dense: text(group.filter(({ dense }) => dense)),
    hsr: text(group.filter(({ dense }) => !dense)),
    count: group.length,
  }));
}
