/** Downloads a model into this browser's storage, away from the page: every byte is hashed. Ended by being terminated. */
// Import maps are for pages alone.
// @ts-ignore: beside it once the site is built
import { cachedModel, openOpfsStore } from './halfspace.js';

/** @typedef {{url: string, sha256?: string, folder: string, partBytes: number}} Wanted */

addEventListener('message', async (/** @type {MessageEvent<Wanted>} */ { data: { url, sha256, folder, partBytes } }) => {
  const onProgress = (/** @type {number} */ done, /** @type {number} */ total) => postMessage({ done, total });
  try {
    const source = await cachedModel(url, { store: await openOpfsStore({ folder }), sha256, partBytes, onProgress });
    await source.close();
    postMessage({ end: true });
  } catch (error) {
    const { code, message, field, value, limit } = /** @type {import('../web/errors.js').HalfspaceError} */ (error);
    postMessage({ error: { code, message, details: { field, value, limit } } });
  }
});
