/** The bar at the bottom: what runs, how far it is, and how to stop it. */
import { element } from '../element.js';
import { perFrame } from '../view/dom.js';

/** @param {import('../app.js').App} app */
export function mountJob(app) {
  const bar = /** @type {HTMLElement} */ (document.getElementById('job'));
  const name = element('strong', { role: 'status' });
  const label = element('span', { className: 'figures' });
  const progress = element('progress', { max: 1, 'aria-label': 'Progress of what runs' });
  const stop = element('button', { type: 'button', className: 'quiet', onclick: () => app.stop() }, 'Stop');
  bar.append(element('div', { className: 'job-words' }, name, ' ', label), progress, stop);

  /** @type {import('../app.js').Events['progress'] | undefined} */
  let newest;
  const draw = perFrame(() => {
    if (!newest || !app.job) return;
    label.textContent = newest.label;
    if (newest.total > 0) progress.value = newest.done / newest.total;
    else progress.removeAttribute('value');
    newest = undefined;
  });
  app.on('progress', (detail) => {
    newest = detail;
    draw();
  });
  app.on('job', () => {
    bar.hidden = !app.job;
    stop.disabled = false;
    newest = undefined;
    name.textContent = app.job ? sentence(app.job.name) : '';
    label.textContent = '';
    progress.removeAttribute('value');
    app.job?.controller.signal.addEventListener('abort', () => (stop.disabled = true));
  });
}

/** @param {string} text */
const sentence = (text) => text[0].toUpperCase() + text.slice(1);
