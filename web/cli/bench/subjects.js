/** What benches compare: our engine, here or in a browser's page, and peers that run the same model. */
import { checkInteger } from '../../checks.js';
import { badArgument } from '../../errors.js';
import { loadEngine, progress, readText } from '../common.js';
import { checkout } from './checkout.js';
import { environment } from './report.js';
import { isBrowser } from './runtime.js';
import { Session } from './session.js';

/**
 * @typedef {import('./session.js').Round} Round
 * @typedef {'dense' | 'hsr'} Mode
 *
 * @typedef {object} Subject runs the model on a context of its own, which starts empty
 * @property {string} name
 * @property {number} most tokens of its longest context, those of a round not counted
 * @property {Record<string, string>} about version and settings
 * @property {(ids: number[], mode?: Mode) => Promise<number>} prefill appends tokens; milliseconds
 * @property {(ids: number[], mode?: Mode) => Promise<Round>} round decodes as many tokens, which the context then drops
 * @property {() => Promise<void>} reset empties the context
 * @property {() => Promise<void>} close
 *
 * @typedef {Subject & {tokenize: (text: string) => Promise<number[]>, detokenize: (ids: number[]) => Promise<string>,
 *   variant: import('../../core/wasm-loader.js').Variant, threads: number,
 *   profileRound: (ids: number[], mode: Mode) => Promise<import('./phases.js').Phases>,
 *   profilePrefill: (ids: number[], mode: Mode) => Promise<import('./phases.js').Phases>}} Ours the last two where options.profile
 *
 * @typedef {import('../common.js').ModelOptions & {file: string, repeats: number, peers?: boolean, runtime?: string,
 *   out?: string, wllamaContexts: number[], wllamaSettings: string[], profile?: boolean, hog: number,
 *   states?: boolean}} SubjectOptions profile: in a build with a clock around each phase; hog: busy processes beside; states: peers
 *   keep the states of long contexts in files
 *
 * @typedef {object} Group
 * @property {Ours} ours
 * @property {Subject[]} peers
 * @property {number[]} ids of the text
 * @property {ReturnType<typeof environment>} where
 */

/**
 * Loads all of them for as long as `use` runs.
 * @template T
 * @param {SubjectOptions} options
 * @param {{contexts: number[], round: number}} need tokens: contexts, ascending, and what a round decodes after each
 * @param {(group: Group) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withSubjects(options, { contexts, round }, use) {
  checkInteger('repeats', options.repeats, 1, 1000);
  const needed = contexts[contexts.length - 1] + round;
  const text = await readText(options.file);
  /** @type {Subject[]} */
  const open = [];
  try {
    const ours = isBrowser(options.runtime)
      ? await (await checkout()).pageSubject(options.runtime, options, needed)
      : await localSubject(options, needed);
    open.push(ours);
    const ids = await ours.tokenize(text);
    if (needed > ids.length) throw badArgument('contexts', `need ${needed} tokens, the text has ${ids.length}`, needed, ids.length);
    if (options.peers)
      open.push(...(await (await checkout()).modelPeers({ ...options, threads: ours.threads }, { contexts, round }, ours.detokenize)));
    const [, ...peers] = open;
    const where = environment(ours.variant, {
      runtime: ours.about.runtime,
      threads: ours.threads,
      peers: peers.map(({ name, about }) => ({ name, ...about })),
    });
    return await use({ ours, peers, ids, where });
  } finally {
    for (const subject of open.toReversed()) await subject.close();
  }
}

/** @param {SubjectOptions} options @param {number} capacity @returns {Promise<Ours>} */
async function localSubject(options, capacity) {
  const engine = await loadEngine({ ...options, ...(options.profile && { wasm: (await checkout()).builtProfiles() }) });
  const session = new Session(engine, capacity);
  const { variant, threads } = engine.info;
  return {
    name: 'halfspace',
    most: capacity,
    about: {},
    variant,
    threads,
    tokenize: async (text) => engine.tokenize(text),
    detokenize: async (ids) => engine.detokenize(ids),
    async prefill(ids, mode = 'dense') {
      const bar = progress('prefill', 'tokens');
      const ms = await session.prefill(ids, mode, (done) => bar.update(done, ids.length));
      bar.stop();
      return ms;
    },
    round: async (ids, mode = 'dense') => session.round(ids, mode),
    profileRound: async (ids, mode) => session.profileRound(ids, mode),
    profilePrefill: async (ids, mode) => session.profilePrefill(ids, mode),
    reset: async () => session.reset(),
    close: async () => engine.close(),
  };
}
