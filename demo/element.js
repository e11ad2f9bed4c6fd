/** Elements of the page, made without HTML strings. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties] of the element; those with a hyphen, and `role`, are attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') made.setAttribute(name, String(value));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
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

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** @param {number} value */
export const count = (value) => NUMBER.format(value);

/** @param {number} bytes */
export const megabytes = (bytes) => (bytes < 1e6 ? `${count(Math.max(1, bytes / 1e3))} kB` : `${count(bytes / 1e6)} MB`);
