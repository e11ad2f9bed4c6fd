/** How much each layer's KV heads evaluated exactly: a map, which is a table of buttons that choose what the text shows. */
import { element } from '../element.js';
import { colourOf } from '../view/cividis.js';
import { perFrame, setText } from '../view/dom.js';
import { percent } from '../view/format.js';

/** @typedef {{button: HTMLButtonElement, layer: number, kvHead: number, exact: number}} Cell */

/** @param {import('../app.js').App} app */
export function mountHeads(app) {
  const section = /** @type {HTMLElement} */ (document.getElementById('heads'));
  const pointed = element('p', { id: 'heads-pointed' });
  const table = element('table', { id: 'heads-map' });
  const all = element('button', { id: 'heads-all', type: 'button', className: 'quiet', textContent: 'Show all layers and heads' });
  section.append(
    element('p', {
      textContent:
        'The percentage of the text’s words that each head (a part of a layer that looks at words in its own way) evaluated exactly for the token shown above. All others act through averages. Choose one to see what it looks at.',
    }),
    element('div', { className: 'heads-scroll' }, table),
    scale(),
    pointed,
    all,
  );
  /** [kvHead][layer] @type {Cell[][]} */
  let rows = [];

  /** Arrow keys move within the map, which is one stop of the tab key. @param {KeyboardEvent} event */
  function move(event) {
    const row = rows.findIndex((cells) => cells.some(({ button }) => button === event.target));
    const column = rows[row]?.findIndex(({ button }) => button === event.target) ?? -1;
    const to = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      Home: [row, 0],
      End: [row, (rows[row]?.length ?? 0) - 1],
    }[event.key];
    const next = to && rows[to[0]]?.[to[1]];
    if (!to || row < 0) return;
    event.preventDefault();
    if (next) stopAt(next, true);
  }

  /** @param {Cell} cell @param {boolean} [focus] */
  function stopAt(cell, focus = false) {
    for (const { button } of rows.flat()) button.tabIndex = button === cell.button ? 0 : -1;
    if (focus) cell.button.focus();
  }

  /** @param {Cell} cell @param {string} share as text */
  const name = ({ layer, kvHead, exact }, share) =>
    `Layer ${layer}, KV head ${kvHead}: ${Number.isNaN(exact) ? '–, no token yet' : `${share} exact`}`;

  /** @param {number} layer @param {number} kvHead @returns {Cell} */
  function cellOf(layer, kvHead) {
    const button = element('button', { type: 'button', tabIndex: -1, textContent: '–' });
    const cell = { button, layer, kvHead, exact: NaN };
    button.setAttribute('aria-label', name(cell, ''));
    cell.button.addEventListener('click', () => app.select({ layer, kvHead }));
    for (const event of ['pointerenter', 'focus'])
      cell.button.addEventListener(event, () => {
        setText(pointed, name(cell, percent(cell.exact)));
        if (event === 'focus') stopAt(cell);
      });
    return cell;
  }

  function rebuild() {
    const { nLayers = 0, nKvHeads = 0 } = app.engine?.config ?? {};
    rows = Array.from({ length: nKvHeads }, (_, kvHead) => Array.from({ length: nLayers }, (_, layer) => cellOf(layer, kvHead)));
    const head = (/** @type {string} */ scope, /** @type {string} */ textContent) => element('th', { scope, textContent });
    table.replaceChildren(
      element('caption', { textContent: 'Percent evaluated exactly, by layer and KV head' }),
      element(
        'thead',
        {},
        element('tr', {}, head('col', 'layer'), ...Array.from({ length: nLayers }, (_, layer) => head('col', String(layer)))),
      ),
      element(
        'tbody',
        {},
        ...rows.map((cells, kvHead) =>
          element('tr', {}, head('row', `head ${kvHead}`), ...cells.map(({ button }) => element('td', {}, button))),
        ),
      ),
    );
    if (rows[0]?.[0]) stopAt(rows[0][0]);
    draw();
  }

  const draw = perFrame(() => {
    const kept = app.steps.at(app.selection.token);
    const { layer, kvHead } = app.selection;
    for (const cell of rows.flat()) {
      cell.button.setAttribute('aria-pressed', String(cell.layer === layer && cell.kvHead === kvHead));
      const exact = kept ? kept.exact[cell.layer * kept.shape.kvHeads + cell.kvHead] : NaN;
      if (Object.is(exact, cell.exact)) continue;
      cell.exact = exact;
      const { paper, ink } = Number.isNaN(cell.exact) ? { paper: '', ink: '' } : colourOf(cell.exact);
      Object.assign(cell.button.style, { background: paper, color: ink });
      const rounded = String(Math.round(100 * exact));
      setText(cell.button, Number.isNaN(exact) ? '–' : rounded);
      cell.button.setAttribute('aria-label', name(cell, `${rounded} %`));
    }
    all.disabled = layer === undefined && kvHead === undefined;
    setText(pointed, kept ? `Of all heads: ${percent(meanOf(kept.exact))} exact.` : 'Ask a question to fill this map.');
  });

  table.addEventListener('keydown', move);
  all.addEventListener('click', () => app.select({ layer: undefined, kvHead: undefined }));
  app.on('engine', rebuild);
  for (const event of /** @type {const} */ (['token', 'turn', 'selection', 'document'])) app.on(event, draw);
  rebuild();
}

/** @param {Float32Array} values */
const meanOf = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

function scale() {
  const steps = [0, 0.02, 0.05, 0.1, 0.2, 0.5, 1].map((share) => {
    const { paper, ink } = colourOf(share);
    const step = element('span', { textContent: percent(share) });
    Object.assign(step.style, { background: paper, color: ink });
    return step;
  });
  return element('p', { className: 'heads-scale', 'aria-hidden': 'true' }, ...steps);
}
