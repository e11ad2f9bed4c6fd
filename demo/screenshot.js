/** A picture of the page, answering: `node demo/screenshot.js FILE [--question TEXT] [--tokens N] [--folder FOLDER]`, as demo/serve.js has them. */
import process from 'node:process';
import { parseArgs } from 'node:util';

import { answered, openDemo } from './visit.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { question: { type: 'string', default: 'Who is the Mouse afraid of?' }, tokens: { type: 'string' }, folder: { type: 'string' } },
});
const [file] = positionals;
if (!file) throw new Error('usage: node demo/screenshot.js FILE [--question TEXT] [--tokens N] [--folder FOLDER]');
const { page, close } = await openDemo({ width: 1180, height: 1400, tokens: values.tokens, folder: values.folder });
try {
  await answered(page, values.question);
  await page.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: 'reduce' }]);
  // The word before the full stop tells more than the full stop.
  await page.focus('#lit-token');
  await page.keyboard.press('ArrowLeft');
  await page.click('#lit-brightest');
  await page.evaluate(() => document.getElementById('documents')?.scrollIntoView());
  await page.screenshot({ path: /** @type {`${string}.png`} */ (file) });
  process.stdout.write(`${file}\n`);
} finally {
  await close();
}
