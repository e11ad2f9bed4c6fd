/** @param {import('../app.js').App} app */
export function mountFailure(app) {
  void app;
}
