/** @param {import('../app.js').App} app */
export function mountRace(app) {
  void app;
}
