/** @param {import('../app.js').App} app */
export function mountConversation(app) {
  void app;
}
