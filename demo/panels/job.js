/** @param {import('../app.js').App} app */
export function mountJob(app) {
  void app;
}
