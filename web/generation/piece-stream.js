/** A generation as a stream, of an engine that is here or in a worker. */
import { generatorStream } from '../bytes/generator-stream.js';

/**
 * A token is computed when it is read. cancel() ends the generation, also while it reads the prompt, and resolves when its memory is
 * given back.
 * @template {{signal?: AbortSignal}} Options
 * @template Prompt
 * @template Piece
 * @param {{generate: (prompt: Prompt, options: Options) => AsyncGenerator<Piece, void>}} engine
 * @param {Prompt} prompt
 * @param {Options} [options]
 * @returns {ReadableStream<Piece>}
 */
export function pieceStream(engine, prompt, options) {
  const cancelled = new AbortController();
  const signal = options?.signal ? AbortSignal.any([options.signal, cancelled.signal]) : cancelled.signal;
  const pieces = engine.generate(prompt, /** @type {Options} */ ({ ...options, signal }));
  return generatorStream(pieces, () => cancelled.abort());
}
