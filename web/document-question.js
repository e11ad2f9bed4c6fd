/** A question about a document that may be longer than the context. */

import { HalfspaceError } from './errors.js';

/** Tokens left for the chat template around document and question. */
const TEMPLATE_TOKENS = 96;

/**
 * The conversation's tokens, with as much of the document's beginning as the context holds beside the question and the answer.
 * @param {import('./api.js').Engine} engine
 * @param {string} document
 * @param {string} question
 * @param {{ctx?: number, answerTokens: number}} options
 * @throws {HalfspaceError} context-full: not even one token of the document fits
 * @returns {Promise<{ids: number[], shownTokens: number, documentTokens: number}>}
 */
export async function documentQuestion(engine, document, question, { ctx = engine.ctx, answerTokens }) {
  const all = await engine.tokenize(document);
  const room = ctx - answerTokens - (await engine.tokenize(question)).length - TEMPLATE_TOKENS;
  if (room < 1) {
    throw new HalfspaceError('context-full', `a context of ${ctx} tokens leaves no room for the document`, {
      field: 'ctx',
      value: ctx,
      limit: ctx - room + 1,
    });
  }
  const shown = await engine.detokenize(all.slice(0, room));
  const ids = await engine.chatTokens([{ role: 'user', content: `Read this text:\n\n${shown}\n\nQuestion: ${question}` }]);
  return { ids, shownTokens: Math.min(room, all.length), documentTokens: all.length };
}
