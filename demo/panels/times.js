/** @param {import('../app.js').App} app */
export function mountTimes(app) {
  void app;
}
