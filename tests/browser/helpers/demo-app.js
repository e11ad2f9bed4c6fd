/** The demo's page with its state at hand, and a way to load a model without its panel: for tests of the other panels. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const MAIN = `
import { Engine } from 'halfspace';
window.app = app;
// All sections are there, whether or not the page has come so far.
document.body.dataset.stage = 'document';
window.loadModel = async (name, settings = {}) => {
  app.set(settings);
  const { kv, ctx, threads } = app.settings;
  await app.run('loading the model', async () => {
    const engine = await Engine.load('./' + name, { kv, ctx, threads: 1 });
    app.setEngine(engine, { name, source: './' + name, bytes: 0 });
  });
};
`;

/**
 * Adds it to a served folder, as test.html.
 * @param {string} folder
 */
export async function addTestPage(folder) {
  const [html, main] = await Promise.all(['index.html', 'main.js'].map((name) => readFile(join(folder, name), 'utf8')));
  await writeFile(join(folder, 'test.html'), html.replace('./main.js', './test-main.js'));
  await writeFile(join(folder, 'test-main.js'), main + MAIN);
}
