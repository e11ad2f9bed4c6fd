/** Conversations about a document that may be longer than the context: its beginning is read once, and every question continues it. */
import { badArgument, HalfspaceError } from '../errors.js';

/**
 * @typedef {import('../remote/api.js').Engine | import('../engine.js').Engine} Engine
 *
 * @typedef {object} DocumentPrompt the beginning of conversations about a document
 * @property {number[]} ids the conversation's tokens up to the document's end: any question may follow
 * @property {number} start which of them is the document's first
 * @property {string} text of the document, as much as is read
 * @property {number} documentTokens of all of it
 * @property {string} system the system prompt; empty: the model's own
 */

const LONGEST_WORD = 64;

/**
 * @param {string} text
 * @param {string} question
 */
const ask = (text, question) => `Read this text:\n\n${text}\n\nQuestion: ${question}`;

/**
 * Token ids of a conversation under the file's chat template, up to where the answer to the question starts.
 * @param {Engine} engine whose template it is
 * @param {{text: string, system?: string}} document what documentPrompt() gave; text: as much as is read; system: the system prompt, default the model's own
 * @param {{question: string, answer: string}[]} turns before it
 * @param {string} question the newest
 * @returns {Promise<number[]>} which begin with the prompt's ids
 * @throws {HalfspaceError} what Engine.chatTokens() throws
 */
export async function questionTokens(engine, { text, system = '' }, turns, question) {
  const questions = [...turns.map((turn) => turn.question), question];
  const messages = questions.flatMap((content, i) => [
    { role: 'user', content: i === 0 ? ask(text, content) : content },
    ...(i < turns.length ? [{ role: 'assistant', content: turns[i].answer }] : []),
  ]);
  return engine.chatTokens(system === '' ? messages : [{ role: 'system', content: system }, ...messages]);
}

/**
 * What may be read before a question is known, with as much of the document's beginning as the context holds.
 * @param {Engine} engine whose context it is to fit
 * @param {string} document its text, of any length
 * @param {{reserve: number, ctx?: number, limit?: number, system?: string}} options reserve: tokens left for questions and answers;
 *   limit: most tokens of the document, default as many as fit; ctx: tokens of the context, default the engine's; system: the system
 *   prompt, default the model's own
 * @returns {Promise<DocumentPrompt>}
 * @throws {HalfspaceError} bad-argument: the document is empty; context-full: not even one of its tokens fits
 */
export async function documentPrompt(engine, document, { reserve, ctx = engine.ctx, limit = Infinity, system = '' }) {
  if (document.trim() === '') throw badArgument('document', 'must not be empty', document, 1);
  // Any other document: what the two have in common is the frame.
  const other = ['0', '1', '2'].find((digit) => !document.startsWith(digit) && !document.endsWith(digit)) ?? '3';
  const frame = await questionTokens(engine, { text: other, system }, [], 'a');
  const room = Math.min(ctx - reserve, frame.length + limit);
  const tokensOf = (/** @type {string} */ text) => questionTokens(engine, { text, system }, [], 'a');
  const text = room > frame.length ? await longestBeginning(document, room, async (part) => (await tokensOf(part)).length) : '';
  if (text !== '') {
    const whole = await tokensOf(text);
    const start = commonLength(whole, frame);
    const ids = whole.slice(0, whole.length - commonLength(whole.toReversed(), frame.toReversed()));
    const documentTokens = text === document ? ids.length - start : (await engine.tokenize(document)).length;
    return { ids, start, text, documentTokens, system };
  }
  throw new HalfspaceError('context-full', `a context of ${ctx} tokens leaves no room for the document`, {
    field: 'ctx',
    value: ctx,
    limit: reserve + frame.length + 1,
  });
}

/**
 * @param {string} document
 * @param {number} room
 * @param {(text: string) => Promise<number>} count its tokens
 * @returns {Promise<string>} which has as many tokens as there is room for; it ends with a whole word, if words are not endless
 */
async function longestBeginning(document, room, count) {
  // Lengths of beginnings: of one that fits, of one that does not, and of the next that is tried.
  let [low, high, next] = [0, document.length + 1, document.length];
  while (high - low > 1) {
    const tokens = await count(document.slice(0, next));
    if (tokens <= room) low = next;
    else high = next;
    if (tokens === room) break;
    next = Math.max(low + 1, Math.min(high - 1, Math.floor((next * room) / tokens)));
  }
  if (low === document.length) return document;
  const text = document.slice(0, low);
  const isInWord = /^\S/.test(document.slice(low));
  return (isInWord ? text.replace(new RegExp(`\\s\\S{0,${LONGEST_WORD}}$`), '') : text).replace(/[\ud800-\udbff]$/, '').trimEnd();
}

/**
 * How many first elements are the same: how much of a prefix is of use for other tokens.
 * @param {ArrayLike<number>} a token ids
 * @param {ArrayLike<number>} b others
 * @returns {number}
 */
export function commonLength(a, b) {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}
