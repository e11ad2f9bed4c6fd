/** @param {import('../app.js').App} app */
export function mountModel(app) {
  void app;
}
