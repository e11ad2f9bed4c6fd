/** @param {import('../app.js').App} app */
export function mountSweep(app) {
  void app;
}
