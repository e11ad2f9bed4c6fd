/** Chat messages to prompt text, by the Jinja template a GGUF file carries. */
import { Template } from '@huggingface/jinja';
import { HalfspaceError } from './errors.js';

const FIELD = 'tokenizer.chat_template';

/**
 * @typedef {object} ChatMessage
 * @property {string} role as the template knows it: 'system', 'user', 'assistant', ...
 * @property {string} content
 */

/**
 * @param {unknown} messages
 * @returns {asserts messages is ChatMessage[]}
 */
function checkMessages(messages) {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new HalfspaceError('bad-argument', 'messages must be a list of at least one message', {
      field: 'messages',
      value: messages,
    });
  }
  for (const [i, message] of messages.entries()) {
    for (const key of ['role', 'content']) {
      if (typeof message?.[key] !== 'string') {
        const field = `messages[${i}].${key}`;
        throw new HalfspaceError('bad-argument', `${field} must be a string`, { field, value: message?.[key] });
      }
    }
  }
}

/**
 * Renders messages into the text of a prompt, to be encoded with {addSpecial: true, parseSpecial: true}: where encode puts
 * BOS in front, a BOS that the template writes there is left out, so that there is one.
 * @param {Record<string, unknown>} metadata of a GGUF file, by full key
 * @param {Pick<import('./tokenizer.js').Tokenizer, 'bosId' | 'eosId' | 'addBos' | 'tokenText'>} tokenizer
 * @param {ChatMessage[]} messages
 * @param {{addGenerationPrompt?: boolean}} [options] addGenerationPrompt (default true): end with the opening of a reply
 * @returns {string}
 * @throws {HalfspaceError} 'unsupported' when the file has no template or one that cannot be parsed, 'bad-argument' when
 *   the messages are malformed or the template refuses them
 */
export function renderChat(metadata, tokenizer, messages, { addGenerationPrompt = true } = {}) {
  checkMessages(messages);
  const source = metadata[FIELD];
  if (typeof source !== 'string') {
    throw new HalfspaceError('unsupported', `The model has no chat template (${FIELD})`, { field: FIELD });
  }
  /** @type {Template} */
  let template;
  try {
    template = new Template(source);
  } catch (cause) {
    const message = `The model's chat template cannot be parsed (${FIELD}): ${reason(cause)}`;
    throw new HalfspaceError('unsupported', message, { field: FIELD, cause });
  }

  const { bosId, eosId } = tokenizer;
  const bos = bosId === null ? '' : tokenizer.tokenText(bosId);
  const eos = eosId === null ? '' : tokenizer.tokenText(eosId);
  let text;
  try {
    // raise_exception and strftime_now come with the library.
    text = template.render({ messages, add_generation_prompt: addGenerationPrompt, bos_token: bos, eos_token: eos });
  } catch (cause) {
    const message = `The chat template refuses the messages: ${reason(cause)}`;
    throw new HalfspaceError('bad-argument', message, { field: 'messages', cause });
  }
  return tokenizer.addBos && text.startsWith(bos) ? text.slice(bos.length) : text;
}

/** @param {unknown} error */
const reason = (error) => (error instanceof Error ? error.message : String(error));
