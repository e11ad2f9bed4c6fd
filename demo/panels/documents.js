/** @param {import('../app.js').App} app */
export function mountDocuments(app) {
  void app;
}
