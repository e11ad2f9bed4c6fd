/** @param {import('../app.js').App} app */
export function mountHeads(app) {
  void app;
}
