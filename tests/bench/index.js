/** What web/cli/bench asks for beyond the package: peers, browsers, other runtimes. `make tools-bench` installs them. */
import { nativePeer } from './native.js';
import { pageSubject } from './page-subject.js';
import { ropeOf } from './rope.js';
import { STATES } from './states.js';
import { wllamaPeers, wllamaSettings } from './wllama.js';

export { hnswTop } from './hnsw.js';
export { builtProfiles } from './installed.js';
export { loadInPage } from './load.js';
export { localKernels, nativeKernels, pageKernels } from './kernels.js';
export { onnxAttention } from './onnx.js';
export { runtimeCommand } from '../runtimes/commands.js';
export { benchInPage } from './whole-bench.js';
export { pageSubject };

/**
 * Peers that run the model, with as many threads as ours: native llama.cpp, and wllama in Chromium, whose prefill is so slow that it takes
 * part in some contexts only.
 * @param {import('../../web/cli/bench/subjects.js').SubjectOptions} options
 * @param {{contexts: number[], round: number}} need
 * @param {(ids: number[]) => Promise<string>} detokenize
 * @returns {Promise<import('../../web/cli/bench/subjects.js').Subject[]>}
 */
export async function modelPeers(options, { contexts, round }, detokenize) {
  const most = Math.max(0, ...options.wllamaContexts.filter((n) => contexts.includes(n)));
  const threads = Number(options.threads ?? 1);
  const rope = ropeOf(options);
  const settings = wllamaSettings(options.wllamaSettings, threads);
  const native = await nativePeer(options.model, contexts[contexts.length - 1] + round, {
    threads,
    rope,
    states: options.states ? STATES : undefined,
  });
  if (most === 0) return [native];
  try {
    return [native, ...(await wllamaPeers(options.model, settings, { most, round, rope }, detokenize))];
  } catch (error) {
    await native.close();
    throw error;
  }
}
