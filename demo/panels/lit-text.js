/** @param {import('../app.js').App} app */
export function mountLitText(app) {
  void app;
}
