/** wllama, llama.cpp in WebAssembly, in Chromium. Its API completes prompts; its own timings tell prompt from decoding. */
import { badArgument } from '../../web/errors.js';
import { openPage } from './browser.js';
import { bundled } from './bundle.js';
import { installedVersion } from './installed.js';
import { ropeParameters, ropeText } from './rope.js';

const SPARE = 8;
/** It takes text alone, whose end may become other tokens than ours. */
const OTHER_TOKENS = 4;

/** With llama.cpp a quantised cache needs flash attention. */
const CACHES = ['f16', 'f32', 'fa-f16', 'fa-f32', 'fa-q8'];
/** Beside its default the fastest one on one thread, found among all. */
const BEST = ['default', 'f32'];
const THREADS = [1, 2];

/**
 * The settings that a list of names asks for: `best`, `all`, `default`, or e.g. `f32`, `fa-f16`, `fa-q8:2`: flash attention where
 * fa, type of the KV cache, threads where not as ours.
 * @param {string[]} names
 * @param {number} threads ours
 * @returns {{name: string, parameters: object}[]} parameters of loadModel()
 */
export function wllamaSettings(names, threads) {
  const all = ['default', ...THREADS.flatMap((n) => CACHES.map((cache) => `${cache}:${n}`))];
  const expanded = names.flatMap((name) => (name === 'all' ? all : name === 'best' ? BEST : [name]));
  return [...new Set(expanded)].map((name) => ({ name, parameters: parametersOf(name, threads) }));
}

/** @param {string} name @param {number} threads ours */
function parametersOf(name, threads) {
  if (name === 'default') return {};
  const parts = /^(fa-)?(f16|f32|q8)(?::(\d+))?$/.exec(name);
  const limit = `all, best, default, ${CACHES.join(', ')}, and :threads`;
  if (!parts || !CACHES.includes(`${parts[1] ?? ''}${parts[2]}`))
    throw badArgument('wllama-settings', `must be of ${limit}, not ${name}`, name, limit);
  const type = parts[2] === 'q8' ? 'q8_0' : parts[2];
  return { flash_attn: parts[1] !== undefined, cache_type_k: type, cache_type_v: type, n_threads: Number(parts[3] ?? threads) };
}

/**
 * @param {string} model path
 * @param {ReturnType<typeof wllamaSettings>} settings
 * @param {{most: number, round: number, rope: import('./rope.js').Rope}} need tokens
 * @param {(ids: number[]) => Promise<string>} detokenize
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Subject[]>} all in one page, which goes with the first one
 */
export async function wllamaPeers(model, settings, { most, round, rope }, detokenize) {
  const version = await installedVersion('@wllama/wllama');
  const page = await openPage('chromium', await bundled('page-wllama.js'), { model });
  try {
    const peers = [];
    for (const { name, parameters } of settings) {
      const { threads, llamaCpp } = await page.call('load', name, page.urls.model, {
        ...parameters,
        ...ropeParameters(rope),
        n_ctx: most + round + SPARE,
        n_gpu_layers: 0,
      });
      peers.push(
        peer(
          page,
          name,
          most,
          `wllama ${version}, llama.cpp ${llamaCpp}, ${page.browser}`,
          `${name}, CPU, ${threads} thread(s)${ropeText(rope)}`,
          detokenize,
        ),
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
    const timings = await page.call('complete', setting, await detokenize(held), tokens, read < held.length);
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
      held = [];
    },
    close: async () => {},
  };
}
