/** Small helpers to build a panel. */

/**
 * An element with properties, attributes and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]> & {attributes?: Record<string, string>} | Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties = {}, ...children) {
  const { attributes = {}, ...own } = /** @type {Record<string, any>} */ (properties);
  const element = Object.assign(document.createElement(tag), own);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A label with its control. @param {string} text @param {HTMLElement} control */
export const labelled = (text, control) => el('label', {}, `${text} `, control);

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
  const body = el('tbody');
  const row = el('tr', {}, ...heads.map((text) => el('th', { scope: 'col', textContent: text })));
  const table = el('table', { className: 'numbers' }, el('caption', { textContent: caption }), el('thead', {}, row), body);
  /** @param {string[][]} rows */
  const fill = (rows) =>
    body.replaceChildren(
      ...rows.map(([first, ...rest]) =>
        el('tr', {}, el('th', { scope: 'row', textContent: first }), ...rest.map((textContent) => el('td', { textContent }))),
      ),
    );
  return { table, fill };
}
