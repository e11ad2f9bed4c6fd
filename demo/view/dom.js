/** Small helpers to build a panel. */
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

/** Changes the document only where something changes. @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
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
