/** @param {import('../app.js').App} app */
export function mountMachine(app) {
  void app;
}
