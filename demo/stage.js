/** How far the user has come, for the style sheet: sections appear when there is something to do in them. */

/** @param {import('./app.js').App} app */
export function followStage(app) {
  const update = () => {
    // While an engine that was lost starts again, the page stays as it is.
    if (!app.engine && app.model) return;
    document.body.dataset.stage = app.document ? 'document' : app.engine ? 'engine' : 'start';
  };
  app.on('engine', update);
  app.on('document', update);
}
