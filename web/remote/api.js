/**
 * The public methods of an engine, the same wherever it runs: here (engine.js) or in a worker (worker-engine.js). What is short
 * enough to be answered at once, `tokenize`, `detokenize`, `detokenizeEach` and `chatTokens`, is answered at once by an engine that
 * is here, and by a promise from a worker: `await` suits both.
 *
 * @typedef {import('../engine.js').Prompt} Prompt
 * @typedef {import('../engine.js').EngineOptions & {worker?: boolean | string | URL}} LoadOptions worker: a page's engine runs
 *   in a worker unless this is false; a URL says where halfspace-worker.js is, if not beside the page's own script
 * @typedef {Omit<import('../engine.js').GenerateOptions, 'prefix' | 'onPrefix'> & {prefix?: Prefix, onPrefix?(prefix: Prefix): void}} GenerateOptions
 * @typedef {Omit<import('../generation/compare.js').CompareOptions, 'prefix'> & {prefix?: Prefix}} CompareOptions
 *
 * @typedef {object} Prefix a prefilled prompt that several generations may continue
 * @property {number} length in tokens
 * @property {number[]} ids of its tokens, from the first on
 * @property {number} inherited tokens of the prefix that it continues
 * @property {number} prefillMs milliseconds that reading, or resuming, took
 * @property {import('../snapshot/reader.js').SnapshotInfo | undefined} saved what it was resumed from
 * @property {(length: number) => void | Promise<void>} truncate keeps the first tokens
 * @property {(options?: import('../snapshot/writer.js').SnapshotOptions) => ReadableStream<Uint8Array>} snapshot its caches as bytes
 * @property {() => void} free gives the memory back, once generations that use it have ended
 * @property {boolean} freed whether free() was called
 *
 * @typedef {{
 *   readonly info: import('../engine.js').Engine['info'],
 *   readonly ctx: number,
 *   readonly kv: 'q8' | 'f32',
 *   readonly parameters: number,
 *   readonly config: import('../model/config.js').ModelConfig,
 *   generate(prompt: Prompt, options?: GenerateOptions): AsyncGenerator<import('../engine.js').Piece, void>,
 *   stream(prompt: Prompt, options?: GenerateOptions): ReadableStream<import('../engine.js').Piece>,
 *   prefill(...args: Parameters<import('../engine.js').Engine['prefill']>): Promise<Prefix>,
 *   resume(...args: Parameters<import('../engine.js').Engine['resume']>): Promise<Prefix>,
 *   logits(...args: Parameters<import('../engine.js').Engine['logits']>): ReturnType<import('../engine.js').Engine['logits']>,
 *   perplexity(...args: Parameters<import('../engine.js').Engine['perplexity']>): ReturnType<import('../engine.js').Engine['perplexity']>,
 *   compare(prompt: Prompt, options?: CompareOptions): AsyncGenerator<import('../generation/compare.js').Compared, void>,
 *   tokenize(...args: Parameters<import('../engine.js').Engine['tokenize']>): number[] | Promise<number[]>,
 *   detokenize(...args: Parameters<import('../engine.js').Engine['detokenize']>): string | Promise<string>,
 *   detokenizeEach(...args: Parameters<import('../engine.js').Engine['detokenizeEach']>): string[] | Promise<string[]>,
 *   chatTokens(...args: Parameters<import('../engine.js').Engine['chatTokens']>): number[] | Promise<number[]>,
 *   close(): void,
 * }} Engine
 */

export {};
