/** Dense attention and hsr decode the same words, step by step in turn. */
import { element } from '../element.js';
import { questionTokens } from 'halfspace';

import { labelled, perFrame, setText } from '../view/dom.js';
import { report } from '../view/download.js';
import { mean, percent, short } from '../view/format.js';
import { racedAttention, racedName } from '../raced.js';
import { Trial } from '../view/trial.js';

/** @typedef {import('../../web/generation/compare.js').Compared} Compared */

/** @param {import('../app.js').App} app */
export function mountRace(app) {
  const section = /** @type {HTMLElement} */ (document.getElementById('race'));
  const question = element('input', { id: 'race-question', type: 'text', value: 'What is this text about?', maxLength: 1000 });
  const tokens = element('input', { id: 'race-tokens', type: 'number', min: '1', max: '256', value: '48', required: true });
  const fields = [labelled('Question', question), labelled('Tokens', tokens)];
  const trial = new Trial(app, { id: 'race', label: 'Race', job: 'racing', work: race, fields });
  const [dense, other] = [lane('race-dense', 'Dense: looks at every word'), lane('race-hsr', 'Half-space: looks at what matters')];
  const verdict = element('p', { id: 'race-verdict', 'aria-live': 'polite' });
  section.append(
    element('p', {
      textContent:
        'Both decode the same words: one step of the one, then one of the other, so that neither slows the other down, and only a step’s own time counts. Dense chooses the words; where hsr would have chosen another, that is marked.',
    }),
    trial.form,
    element('div', { className: 'race-lanes' }, dense.article, other.article),
    verdict,
  );
  /** @type {Compared[]} */
  let rows = [];
  let shown = 0;
  let raced = '';

  const draw = perFrame(() => {
    for (const row of rows.slice(shown)) {
      dense.add(row.text);
      if (row.same) other.add(row.text);
      else other.differ(row);
    }
    shown = rows.length;
    dense.figures(rows.map(({ msDense }) => msDense));
    other.figures(rows.map(({ ms }) => ms));
    setText(verdict, verdictOf(rows, raced, trial.isFinished, Boolean(app.job)));
  });

  function clear() {
    rows = [];
    shown = 0;
    trial.finish(undefined);
    dense.clear();
    other.clear();
    draw();
  }

  /** @param {AbortSignal} signal */
  async function race(signal) {
    const { engine, document: open } = app;
    if (!engine || !open) return;
    clear();
    const attention = racedAttention(app.settings);
    raced = racedName(app.settings);
    const { prefix } = open;
    const ids = await questionTokens(engine, { text: open.text, system: open.systemPrompt }, [], question.value);
    const maxTokens = tokens.valueAsNumber;
    const setting = { question: question.value, attention, maxTokens };
    const pieces = engine.compare(ids.slice(prefix.length), { prefix, attention, maxTokens, ctx: app.settings.ctx, signal });
    try {
      for await (const row of pieces) {
        rows.push(row);
        app.tell('progress', { label: 'Tokens', done: rows.length, total: maxTokens });
        draw();
      }
    } finally {
      draw();
    }
    trial.finish(report(app, 'race', { ...setting, summary: summaryOf(rows), tokens: rows }));
    draw();
  }

  app.on('document', clear);
  for (const event of /** @type {const} */ (['engine', 'job'])) app.on(event, draw);
  clear();
}

/** @param {Compared[]} rows */
function summaryOf(rows) {
  const [msDense, ms] = [mean(rows.map((row) => row.msDense)), mean(rows.map((row) => row.ms))];
  const firstDifferent = rows.find(({ same }) => !same)?.index ?? null;
  return {
    tokens: rows.length,
    msDense,
    ms,
    speedUp: ms > 0 ? msDense / ms : 1,
    same: rows.filter(({ same }) => same).length,
    firstDifferent,
    kl: mean(rows.map(({ kl }) => kl)),
    exactFraction: mean(rows.map(({ stats }) => stats.exactFraction)),
    errorRelativeMean: mean(rows.map(({ stats }) => stats.errorRelativeMean)),
    errorMax: Math.max(0, ...rows.map(({ stats }) => stats.errorMax)),
  };
}

/** @param {Compared[]} rows @param {string} raced @param {boolean} isOver @param {boolean} isRunning */
function verdictOf(rows, raced, isOver, isRunning) {
  if (rows.length === 0) return isRunning ? 'Reading the question…' : '';
  const { speedUp, same, firstDifferent, kl, exactFraction, tokens } = summaryOf(rows);
  if (!isOver) return isRunning ? `Token ${tokens}…` : `Ended after ${tokens} tokens.`;
  const agreement =
    firstDifferent === null
      ? `All ${tokens} tokens agree`
      : `${same} of ${tokens} tokens agree, the first that differs is number ${firstDifferent + 1}`;
  return `hsr is ${short(speedUp)} times as fast as dense (${raced}). ${agreement}. It evaluated ${percent(exactFraction)} of the words exactly. KL divergence ${short(kl)}: how far its probabilities are from dense’s, 0 is not at all.`;
}

/** One of the two. @param {string} id @param {string} title */
function lane(id, title) {
  const speed = element('p', { className: 'race-speed', textContent: '–' });
  const each = element('p', { className: 'race-each' });
  const text = element('p', { className: 'race-text' });
  const article = element('article', { id }, element('h3', { textContent: title }), speed, each, text);
  let differences = 0;
  return {
    article,
    clear() {
      differences = 0;
      text.replaceChildren();
    },
    /** @param {string} piece */
    add: (piece) => text.append(piece),
    /** @param {Compared} row */
    differ({ text: denses, chosenText }) {
      const note = differences++ === 0 ? 'first difference' : 'differs';
      const own = element('mark', { title: `${note}: dense has “${denses}”` }, chosenText || '…');
      own.append(element('span', { className: 'race-note', textContent: ` (${note}; dense:${denses || ' …'})` }));
      text.append(own);
    },
    /** @param {number[]} ms */
    figures(ms) {
      const one = mean(ms);
      setText(speed, ms.length > 0 ? `${short(1000 / one)} tokens per second` : '–');
      setText(each, ms.length > 0 ? `${short(one)} ms per token` : '');
    },
  };
}
