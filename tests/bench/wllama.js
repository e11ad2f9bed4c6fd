/** wllama, llama.cpp in WebAssembly, in Chromium. Its API completes prompts; its own timings tell prompt from decoding. */
import { badArgument } from '../../web/errors.js';
import { openPage } from './browser.js';
import { bundled } from './bundle.js';
import { installedVersion } from './installed.js';

const SPARE = 8;
/** It takes text alone, whose end may become other tokens than ours. */
const OTHER_TOKENS = 4;

/**
 * `default`, or e.g. `f32`, `fa-f16`, `fa-q8:2`: flash attention where fa, type of the KV cache, threads where not 1.
 * @param {string} name
 * @returns {object} parameters of loadModel()
 */
function settingsOf(name) {
  if (name === 'default') return {};
  const parts = /^(fa-)?(f16|f32|q8)(?::(\d+))?$/.exec(name);
  if (!parts) throw badArgument('wllama-settings', `must be default or like f32, fa-f16, fa-q8:2, not ${name}`, name, 'default');
  const type = parts[2] === 'q8' ? 'q8_0' : parts[2];
  return { flash_attn: parts[1] !== undefined, cache_type_k: type, cache_type_v: type, n_threads: Number(parts[3] ?? 1) };
}

/**
 * @param {string} model path
 * @param {string[]} settings
 * @param {{most: number, round: number}} need tokens
 * @param {(ids: number[]) => Promise<string>} detokenize
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Subject[]>} all in one page, which goes with the first one
 */
export async function wllamaPeers(model, settings, { most, round }, detokenize) {
  const all = settings.map((name) => ({ name, settings: settingsOf(name) }));
  const version = await installedVersion('@wllama/wllama');
  const page = await openPage('chromium', await bundled('page-wllama.js'), { model });
  try {
    const peers = [];
    for (const { name, settings: given } of all) {
      const { threads, llamaCpp } = await page.call('load', name, page.urls.model, {
        ...given,
        n_ctx: most + round + SPARE,
        n_gpu_layers: 0,
      });
      peers.push(
        peer(page, name, most, `wllama ${version}, llama.cpp ${llamaCpp}, ${page.browser}`, `${name}, ${threads} thread(s)`, detokenize),
      );
    }
    peers[0].close = page.close;
    return peers;
  } catch (error) {
    await page.close();
    throw error;
  }
}

/**
 * @param {import('./browser.js').Page} page
 * @param {string} setting
 * @param {number} most
 * @param {string} version
 * @param {string} settings
 * @param {(ids: number[]) => Promise<string>} detokenize
 * @returns {import('../../web/cli/bench/subjects.js').Subject}
 */
function peer(page, setting, most, version, settings, detokenize) {
  /** @type {number[]} */
  let held = [];
  /** @param {number} tokens @param {number} read tokens of the prompt that the cache cannot hold yet */
  const complete = async (tokens, read) => {
    const timings = await page.call('complete', setting, await detokenize(held), tokens);
    if (Math.abs(timings.prompt_n - read) > OTHER_TOKENS) throw new Error(`wllama read ${timings.prompt_n} tokens instead of ${read}`);
    return timings;
  };
  return {
    name: `wllama ${setting}`,
    most,
    about: { version, settings },
    async prefill(ids) {
      held = [...held, ...ids];
      const { prompt_ms: ms, prompt_n: read } = await complete(1, ids.length);
      return (ms / read) * ids.length;
    },
    async round(ids) {
      // The first token comes from the prompt, whose last one is read again.
      const { predicted_ms: ms, predicted_n: count } = await complete(ids.length + 1, 1);
      if (count !== ids.length + 1) throw new Error(`wllama decoded ${count} tokens instead of ${ids.length + 1}`);
      return { ms: [ms / ids.length] };
    },
    async reset() {
      // A prompt of another beginning takes the place of what the cache holds.
      held = [];
      await page.call('complete', setting, '\n', 1);
    },
    close: async () => {},
  };
}
