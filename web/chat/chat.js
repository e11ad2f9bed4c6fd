/** Chat messages to prompt text, by the Jinja template a GGUF file carries. */
import { badArgument, HalfspaceError } from '../errors.js';
import { FIELD, parseTemplate, runTemplate } from './template.js';

/** Limits of a conversation: messages, and UTF-16 units of them all. */
export const LIMITS = { messages: 4096, units: 1 << 22 };

/**
 * @typedef {object} ChatMessage
 * @property {string} role as the template knows it: 'system', 'user', 'assistant', ...
 * @property {string} content
 */

/**
 * @param {unknown} messages
 * @returns {number} UTF-16 units of them
 */
function checkMessages(messages) {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > LIMITS.messages)
    throw badArgument(
      'messages',
      `must be a list of 1 to ${LIMITS.messages} messages`,
      Array.isArray(messages) ? messages.length : messages,
      LIMITS.messages,
    );
  let units = 0;
  for (const [i, message] of messages.entries()) {
    for (const key of ['role', 'content']) {
      const text = message?.[key];
      if (typeof text !== 'string') throw badArgument(`messages[${i}].${key}`, 'must be a string', text, 'string');
      units += text.length;
    }
  }
  if (units > LIMITS.units) throw badArgument('messages', `must have at most ${LIMITS.units} UTF-16 units`, units, LIMITS.units);
  return units;
}

/**
 * Renders messages into the text of a prompt, to be encoded with {addSpecial: true, parseSpecial: true}: where encode puts
 * BOS in front, a BOS that the template writes there is left out, so that there is one. What looks like a control token in a
 * message stays text: only the template writes control tokens.
 * @param {Record<string, unknown>} metadata of a GGUF file, by full key
 * @param {Pick<import('../tokenizer/tokenizer.js').Tokenizer, 'bosId' | 'eosId' | 'addBos' | 'tokenText' | 'protect'>} tokenizer
 * @param {ChatMessage[]} messages
 * @param {{addGenerationPrompt?: boolean}} [options] addGenerationPrompt (default true): end with the opening of a reply
 * @returns {string}
 * @throws {HalfspaceError} 'unsupported' when the file has no template, one that cannot be parsed or goes beyond a limit
 *   (template.js), 'bad-argument' when the messages are malformed or the template refuses them
 */
export function renderChat(metadata, tokenizer, messages, { addGenerationPrompt = true } = {}) {
  const units = checkMessages(messages);
  const source = metadata[FIELD];
  if (typeof source !== 'string') throw new HalfspaceError('unsupported', `The model has no chat template (${FIELD})`, { field: FIELD });
  const program = attempt(
    () => parseTemplate(source),
    (why, cause) =>
      new HalfspaceError('unsupported', `The model's chat template cannot be parsed (${FIELD}): ${why}`, { field: FIELD, cause }),
  );
  const { bosId, eosId, addBos } = tokenizer;
  const bos = bosId === null ? '' : tokenizer.tokenText(bosId);
  const eos = eosId === null ? '' : tokenizer.tokenText(eosId);
  const variables = {
    messages: messages.map(({ role, content }) => ({ role: tokenizer.protect(role), content: tokenizer.protect(content) })),
    add_generation_prompt: addGenerationPrompt,
    bos_token: bos,
    eos_token: eos,
  };
  const text = attempt(
    () => runTemplate(program, variables, units),
    (why, cause) => new HalfspaceError('bad-argument', `The chat template refuses the messages: ${why}`, { field: 'messages', cause }),
  );
  return addBos && text.startsWith(bos) ? text.slice(bos.length) : text;
}

/**
 * @template T
 * @param {() => T} run
 * @param {(why: string, cause: unknown) => HalfspaceError} failed
 * @returns {T}
 */
function attempt(run, failed) {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof HalfspaceError) throw cause;
    const { message } = /** @type {Error} */ (cause);
    if (!(cause instanceof RangeError)) throw failed(message, cause);
    // Of the stack, or of the engine's longest text.
    throw new HalfspaceError('unsupported', `the chat template goes beyond what this runtime can do: ${message}`, { field: FIELD, cause });
  }
}
