/** @param {import('../app.js').App} app */
export function mountSettings(app) {
  void app;
}
