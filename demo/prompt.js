/** What the model reads, as token ids: a document, and turns of a conversation about it. The same in the page and in Node.js. */
import { documentPrompt, questionTokens } from 'halfspace';

/**
 * @typedef {import('../web/chat/document-prompt.js').DocumentPrompt} DocumentPrompt
 * @typedef {import('../web/chat/document-prompt.js').Engine} Engine
 */

/** Tokens that are left for questions and answers. */
const RESERVE_TOKENS = 512;
/** An answer is begun where at least this many tokens, or as many as were asked for, are left for it. */
const LEAST_ANSWER_TOKENS = 64;

/** Of a small context it is a quarter. @param {number} ctx */
export const reserveOf = (ctx) => Math.min(RESERVE_TOKENS, ctx >> 2);

/**
 * What is shown of a shipped document: up to where a part of it ends. A model whose text breaks off in the middle of a scene answers
 * about that scene, whatever it is asked.
 * @param {string} text
 * @param {string} end the first words that are left out
 */
export const shownPart = (text, end) => text.slice(0, text.indexOf(end)).trimEnd();

/**
 * The beginning of a document, as much as the context holds beside the reserve.
 * @param {Engine} engine
 * @param {string} text
 * @param {{ctx: number, system: string, limit?: number}} options limit: most tokens of the document
 */
export const readable = (engine, text, options) => documentPrompt(engine, text, { reserve: reserveOf(options.ctx), ...options });

/**
 * The conversation up to the answer of a new question. Where it would not fit, its earliest turns are left out.
 * @param {Engine} engine
 * @param {{text: string, system: string}} document
 * @param {{question: string, answer: string}[]} turns
 * @param {string} question
 * @param {{ctx: number, maxTokens: number}} options
 * @returns {Promise<{ids: number[], forgotten: number}>} forgotten: how many turns were left out. Whether the question alone
 *   fits is for the engine to say
 */
export async function turnPrompt(engine, { text, system }, turns, question, { ctx, maxTokens }) {
  const answered = turns.filter(({ answer }) => answer !== '');
  const room = ctx - Math.min(maxTokens, LEAST_ANSWER_TOKENS);
  for (let forgotten = 0; ; forgotten++) {
    const ids = await questionTokens(engine, { text, system }, answered.slice(forgotten), question);
    if (ids.length <= room || forgotten === answered.length) return { ids, forgotten };
  }
}
