/** The document's text, lit by the keys that attention reported for a token of the answer. */
import { element } from '../element.js';
import { sharesOf } from '../step-log.js';
import { labelled, perFrame, setText } from '../view/dom.js';
import { percent, quoted } from '../view/format.js';
import { levelOf, LEVELS, LitWords } from '../view/lit-words.js';

const BRIGHTEST = 10;

/** @param {import('../app.js').App} app */
export function mountLitText(app) {
  const section = /** @type {HTMLElement} */ (document.getElementById('lit-text'));
  const state = element('p', { id: 'lit-state' });
  const box = element('div', { id: 'lit-words', tabIndex: 0, role: 'region', 'aria-label': 'The document’s text' });
  const before = element('p', { className: 'lit-chip', hidden: true });
  const after = element('p', { className: 'lit-chip', hidden: true });
  const sum = element('p', { id: 'lit-sum' });
  const pointed = element('p', { id: 'lit-pointed', textContent: 'Point at a word to see its share.' });
  const controls = mountControls(app);
  const list = mountBrightest((index) => show(index));
  section.append(
    element('p', {
      textContent:
        'For each word it writes, the model looks back at the text. Lit words are those that it looked at most closely: the brighter and the thicker the line, the larger their share of its attention.',
    }),
    state,
    controls.form,
    element('div', { className: 'lit-columns' }, element('div', {}, before, box, after, sum, pointed, legend()), list.aside),
  );
  const words = new LitWords(box);
  const draw = perFrame(() => {
    const { steps } = app.steps;
    const kept = app.steps.at(app.selection.token);
    controls.update(steps, kept);
    setText(state, stateText(app, words, kept));
    if (!app.document) return;
    const { start, end } = app.document.tokens;
    const shares = kept ? sharesOf(kept, kept.position, app.selection) : new Float32Array(end);
    words.light(shares.subarray(start, end));
    setText(sum, kept ? sumText(shares.subarray(start, end), shares) : '');
    chip(before, 'Start of the conversation, before the text', shares.subarray(0, start));
    chip(after, 'Question and answer, after the text', shares.subarray(end));
    list.update(words);
  });

  async function rebuild() {
    words.clear();
    draw();
    const { engine, document: open } = app;
    if (!engine || !open) return;
    try {
      const texts = await engine.detokenizeEach(open.prefix.ids.slice(open.tokens.start, open.tokens.end));
      if (app.document === open && (await words.fill(texts))) draw();
    } catch (error) {
      // An engine that was lost or closed meanwhile is its owner's to report, and there is no document then.
      if (app.document === open) throw error;
    }
  }

  /** Scrolls to a word and marks it for a moment. @param {number} index */
  function show(index) {
    const word = words.elements[index];
    const smooth = !matchMedia('(prefers-reduced-motion: reduce)').matches;
    box.scrollTo({ top: word.offsetTop - box.clientHeight / 2, behavior: smooth ? 'smooth' : 'auto' });
    box.querySelector('.lit-found')?.classList.remove('lit-found');
    word.classList.add('lit-found');
    point(index);
  }

  /** @param {number} index */
  function point(index) {
    const share = words.shares[index];
    const text = `${quoted(words.words[index].text)}, token ${words.words[index].from + 1} of the text: ${share > 0 ? `${percent(share)} of the attention` : 'not looked at closely'}`;
    words.elements[index].title = text;
    setText(pointed, text);
  }

  for (const event of ['pointerover', 'click'])
    box.addEventListener(event, ({ target }) => {
      const index = words.elements.indexOf(/** @type {HTMLElement} */ (target));
      if (index >= 0) point(index);
    });
  controls.brightest.addEventListener('click', () => {
    const [first] = words.brightest(1);
    if (first !== undefined) show(first);
  });
  app.watching++;
  app.on('document', () => void rebuild());
  app.on('engine', () => controls.shape(app.engine));
  for (const event of /** @type {const} */ (['token', 'turn', 'selection'])) app.on(event, draw);
  draw();
}

/**
 * @param {import('../app.js').App} app
 * @param {LitWords} words
 * @param {import('../step-log.js').Kept} [kept]
 */
function stateText(app, words, kept) {
  if (!app.document) return 'Open a document to see its text here.';
  if (words.elements.length === 0) return 'Laying out the text…';
  if (!kept) return 'Ask a question: the words that the answer looks at will light up.';
  const { layer, kvHead } = app.selection;
  const heads =
    layer === undefined && kvHead === undefined
      ? 'mean of all layers and heads'
      : `${layer === undefined ? 'mean of all layers' : `layer ${layer}`}, ${kvHead === undefined ? 'mean of all heads' : `KV head ${kvHead}`}`;
  const cut = kept.total > kept.positions.length ? `; only ${kept.positions.length} of ${kept.total} reported keys were noted` : '';
  return `For ${quoted(kept.text)}, token ${kept.index + 1} of the answer (${heads}${cut}).`;
}

/** @param {Float32Array} shares */
const total = (shares) => shares.reduce((sum, x) => sum + x, 0);

/** @param {Float32Array} text @param {Float32Array} all */
const sumText = (text, all) =>
  `Words of the text that were evaluated exactly have ${percent(total(text))} of the attention; ${percent(Math.max(0, 1 - total(all)))} went to all others together.`;

/** @param {HTMLElement} element @param {string} name @param {Float32Array} shares */
function chip(element, name, shares) {
  const share = total(shares);
  element.hidden = share === 0;
  element.className = `lit-chip lit-${levelOf(share)}`;
  setText(element, `${name}: ${percent(share)}`);
}

function legend() {
  const levels = LEVELS.map((share, i) => element('span', { className: `lit-${i + 1}`, textContent: `from ${percent(share)}` }));
  return element('p', { className: 'lit-legend' }, 'Share of the attention: ', ...levels.flatMap((level) => [level, ' ']));
}

/** Which layer, head and token. @param {import('../app.js').App} app */
function mountControls(app) {
  const layer = element('select', { id: 'lit-layer' });
  const head = element('select', { id: 'lit-head' });
  const freeze = element('button', {
    id: 'lit-freeze',
    type: 'button',
    className: 'quiet',
    textContent: 'Freeze',
    'aria-pressed': 'false',
  });
  const slider = element('input', { id: 'lit-token', type: 'range', step: '1' });
  const brightest = element('button', {
    id: 'lit-brightest',
    type: 'button',
    className: 'quiet',
    textContent: 'Scroll to the brightest word',
  });
  const form = element(
    'div',
    { className: 'lit-controls' },
    labelled('Layer', layer),
    labelled('KV head', head),
    labelled('Token of the answer', slider),
    freeze,
    brightest,
  );
  const chosen = (/** @type {HTMLSelectElement} */ select) => (select.value === '' ? undefined : Number(select.value));
  layer.addEventListener('change', () => app.select({ layer: chosen(layer) }));
  head.addEventListener('change', () => app.select({ kvHead: chosen(head) }));
  slider.addEventListener('input', () => app.select({ token: Number(slider.value) }));
  freeze.addEventListener('click', () => app.select({ token: app.selection.token === undefined ? app.steps.at()?.index : undefined }));

  /** @param {HTMLSelectElement} select @param {string} all @param {string} name @param {number} count */
  const fill = (select, all, name, count) =>
    select.replaceChildren(
      element('option', { value: '', textContent: all }),
      ...Array.from({ length: count }, (_, i) => element('option', { value: String(i), textContent: `${name} ${i}` })),
    );
  /** @param {import('../app.js').Engine} [engine] */
  const shape = (engine) => {
    fill(layer, 'all layers', 'layer', engine?.config.nLayers ?? 0);
    fill(head, 'all heads', 'head', engine?.config.nKvHeads ?? 0);
  };
  /** @param {import('../step-log.js').Kept[]} steps @param {import('../step-log.js').Kept} [kept] */
  const update = (steps, kept) => {
    const frozen = app.selection.token !== undefined;
    layer.value = String(app.selection.layer ?? '');
    head.value = String(app.selection.kvHead ?? '');
    freeze.setAttribute('aria-pressed', String(frozen));
    setText(freeze, frozen ? 'Follow the newest token' : 'Freeze');
    for (const control of [freeze, slider, brightest]) control.disabled = !kept;
    slider.min = String(steps.at(0)?.index ?? 0);
    slider.max = String(steps.at(-1)?.index ?? 0);
    slider.value = String(kept?.index ?? 0);
    slider.setAttribute('aria-valuetext', kept ? `${kept.index + 1}: ${kept.text}` : 'none');
  };
  shape(app.engine);
  return { form, brightest, update, shape };
}

/** The words with the most mass, as buttons. @param {(word: number) => void} show */
function mountBrightest(show) {
  /** @type {number[]} */
  let words = [];
  const rows = Array.from({ length: BRIGHTEST }, (_, i) => {
    const [before, word, after, share] = [element('span'), element('mark'), element('span'), element('span', { className: 'lit-share' })];
    const button = element('button', { type: 'button' }, before, word, after, ' ', share);
    button.addEventListener('click', () => show(words[i]));
    return { item: element('li', { hidden: true }, button), before, word, after, share };
  });
  const aside = element(
    'div',
    { className: 'lit-brightest' },
    element('h3', { textContent: 'Ten brightest words' }),
    element('ol', {}, ...rows.map(({ item }) => item)),
  );
  /** @param {LitWords} lit */
  const update = (lit) => {
    words = lit.brightest(BRIGHTEST);
    rows.forEach((row, i) => {
      row.item.hidden = i >= words.length;
      if (row.item.hidden) return;
      const { before, word, after } = lit.around(words[i]);
      setText(row.before, before);
      setText(row.word, word);
      setText(row.after, after);
      setText(row.share, percent(lit.shares[words[i]]));
    });
    aside.hidden = words.length === 0;
  };
  return { aside, update };
}
