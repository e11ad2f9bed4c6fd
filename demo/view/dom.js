/** What panels do with their elements. */
import { element } from '../element.js';

/** A label with its control. @param {string} text @param {HTMLElement} control */
export const labelled = (text, control) => element('label', {}, `${text} `, control);

/**
 * Runs `draw` once in the next animation frame, however often it is called before.
 * @param {() => void} draw
 */
export function perFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** Lets input, frames and timers through. */
export const pause = () => new Promise((resolve) => setTimeout(resolve));

/** A file that was chosen; the same one may be chosen again. @param {HTMLInputElement} input @param {(file: File) => void} take */
export function whenChosen(input, take) {
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    input.value = '';
    if (file) take(file);
  });
}

/** Changes the document only where something changes: screen readers hear of that alone. @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Whoever works by keyboard is not left on a button that a job has disabled. @param {HTMLElement} to */
export function passFocus(to) {
  if (document.activeElement?.matches(':disabled')) to.focus({ preventScroll: true });
}

/** Afterwards, from a button that is gone by then. @param {HTMLElement} from @param {Element | null} to */
export function returnFocus(from, to) {
  const at = document.activeElement;
  if ((at === from || at === document.body) && to instanceof HTMLElement) to.focus({ preventScroll: true });
}

/**
 * A table of numbers.
 * @param {string} caption
 * @param {string[]} heads
 */
export function numbersTable(caption, heads) {
  const body = element('tbody');
  const row = element('tr', {}, ...heads.map((text) => element('th', { scope: 'col', textContent: text })));
  const table = element('table', { className: 'numbers' }, element('caption', { textContent: caption }), element('thead', {}, row), body);
  /** @param {string[][]} rows */
  const fill = (rows) =>
    body.replaceChildren(
      ...rows.map(([first, ...rest]) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row', textContent: first }),
          ...rest.map((textContent) => element('td', { textContent })),
        ),
      ),
    );
  return { table, fill };
}
