/** What a client asks for, out of the body of a request to /v1/chat/completions or /v1/completions. */
import { LIMITS } from '../chat/chat.js';
import { checkStop } from '../generation/answer-text.js';
import { ApiError } from './errors.js';

/**
 * @typedef {'chat' | 'text'} Kind
 *
 * @typedef {object} Job
 * @property {Kind} kind
 * @property {number[]} ids the prompt
 * @property {number} maxTokens
 * @property {import('../generation/sampler.js').SamplerOptions} sampler
 * @property {string[]} stop
 * @property {boolean} stream
 * @property {boolean} includeUsage a stream ends with the usage
 *
 * @typedef {Record<string, unknown>} Body
 */

/** What /v1/completions generates where nothing is said, as with OpenAI. */
const TEXT_TOKENS = 16;
/** Templates do not know developer, which is OpenAI's later name of system. */
const ROLES = new Map([['system', 'system'], ['developer', 'system'], ['user', 'user'], ['assistant', 'assistant']]); // prettier-ignore

/** Fields that are read, by kind. */
const READ = {
  both: ['model', 'stream', 'stream_options', 'stop', 'max_tokens', 'temperature', 'top_p', 'seed', 'top_k', 'min_p', 'repetition_penalty'],
  chat: ['messages', 'max_completion_tokens'],
  text: ['prompt'],
};
/** Fields that do not change the answer. */
const PASSED_OVER = ['user', 'metadata', 'store', 'service_tier', 'safety_identifier', 'prompt_cache_key', 'parallel_tool_calls'];
/** Fields that this server does not know, with the values, as JSON, that ask for nothing. @type {Record<string, string[]>} */
const NEUTRAL = {
  n: ['1'],
  best_of: ['1'],
  frequency_penalty: ['0'],
  presence_penalty: ['0'],
  logprobs: ['false'],
  top_logprobs: ['0'],
  logit_bias: ['{}'],
  echo: ['false'],
  suffix: ['""'],
  response_format: ['{"type":"text"}'],
  modalities: ['["text"]'],
  tools: ['[]'],
  functions: ['[]'],
  tool_choice: ['"none"', '"auto"'],
  function_call: ['"none"', '"auto"'],
};

/** @param {string} param @param {string} must @param {string} [code] */
const invalid = (param, must, code = 'invalid_value') => new ApiError(400, `${param} ${must}`, { param, code });

/**
 * @param {Kind} kind
 * @param {Body} body
 * @param {{engine: import('../engine.js').Engine, model: string, maxTokens: number}} server maxTokens: of a chat's answer where
 *   nothing is said
 * @returns {Job}
 * @throws {ApiError}
 */
export function readRequest(kind, body, { engine, model, maxTokens }) {
  checkFields(kind, body);
  checkModel(body.model, model);
  const job = {
    kind,
    maxTokens: answerTokens(body, kind === 'chat' ? maxTokens : TEXT_TOKENS),
    sampler: {
      temperature: number(body, 'temperature', 0, 2) ?? 1,
      topP: number(body, 'top_p', 0, 1),
      seed: integer(body, 'seed', 0, Number.MAX_SAFE_INTEGER),
      topK: integer(body, 'top_k', 0, 2 ** 31 - 1),
      minP: number(body, 'min_p', 0, 1),
      repetitionPenalty: number(body, 'repetition_penalty', 0.01, 100),
    },
    stop: stopStrings(body.stop),
    stream: flag(body, 'stream'),
    includeUsage: wantsUsage(body),
  };
  const ids = kind === 'chat' ? engine.chatTokens(messages(body.messages)) : promptTokens(engine, body.prompt);
  if (ids.length < engine.ctx) return { ...job, ids };
  throw new ApiError(400, `the prompt has ${ids.length} tokens, the context holds ${engine.ctx}, one of which is generated`, {
    param: kind === 'chat' ? 'messages' : 'prompt',
    code: 'context_length_exceeded',
  });
}

/**
 * @param {unknown} asked
 * @param {string} model
 */
export function checkModel(asked, model) {
  if (typeof asked !== 'string') throw invalid('model', 'must be the name of a model', 'missing_required_parameter');
  if (asked !== model)
    throw new ApiError(404, `the model ${asked} does not exist: ${model} does`, { param: 'model', code: 'model_not_found' });
}

/** @param {Kind} kind @param {Body} body */
function checkFields(kind, body) {
  for (const [name, value] of Object.entries(body)) {
    if (READ.both.includes(name) || READ[kind].includes(name) || PASSED_OVER.includes(name) || value === null) continue;
    const neutral = Object.hasOwn(NEUTRAL, name) ? NEUTRAL[name] : undefined;
    if (!neutral) throw invalid(name, 'is not a known parameter', 'unknown_parameter');
    if (!neutral.includes(JSON.stringify(value)))
      throw invalid(name, `is not supported: only ${neutral.join(' or ')} is`, 'unsupported_parameter');
  }
}

/** @param {Body} body @param {string} name @param {number} least @param {number} most */
function number(body, name, least, most) {
  const value = body[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw invalid(name, `must be a number from ${least} to ${most}`);
}

/** @param {Body} body @param {string} name @param {number} least @param {number} most */
function integer(body, name, least, most) {
  const value = number(body, name, least, most);
  if (value === undefined || Number.isInteger(value)) return value;
  throw invalid(name, `must be an integer from ${least} to ${most}`);
}

/** @param {Body} body @param {string} name */
function flag(body, name) {
  const value = body[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw invalid(name, 'must be true or false');
}

/** @param {Body} body @param {number} otherwise */
function answerTokens(body, otherwise) {
  const [newer, older] = ['max_completion_tokens', 'max_tokens'].map((name) => integer(body, name, 1, Number.MAX_SAFE_INTEGER));
  if (newer !== undefined && older !== undefined) throw invalid('max_tokens', 'and max_completion_tokens say the same: give one');
  return newer ?? older ?? otherwise;
}

/** @param {unknown} stop */
function stopStrings(stop) {
  const list = typeof stop === 'string' ? [stop] : (stop ?? []);
  checkStop(list);
  return list;
}

/** @param {Body} body */
function wantsUsage({ stream, stream_options: options }) {
  if (options === undefined || options === null) return false;
  if (stream !== true) throw invalid('stream_options', 'is only for streams');
  if (typeof options !== 'object') throw invalid('stream_options', 'must be an object');
  return flag(/** @type {Body} */ (options), 'include_usage');
}

/**
 * @param {unknown} list
 * @returns {import('../chat/chat.js').ChatMessage[]}
 */
function messages(list) {
  if (!Array.isArray(list) || list.length === 0 || list.length > LIMITS.messages)
    throw invalid(
      'messages',
      `must be a list of 1 to ${LIMITS.messages} messages`,
      list === undefined ? 'missing_required_parameter' : undefined,
    );
  return list.map((message, i) => {
    const role = ROLES.get(message?.role);
    if (!role) throw invalid(`messages[${i}].role`, `must be one of ${[...ROLES.keys()].join(', ')}`);
    return { role, content: contentText(message.content, `messages[${i}].content`) };
  });
}

/** @param {unknown} content a text, or parts that are texts @param {string} param */
function contentText(content, param) {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalid(param, 'must be a text or a list of parts');
  return content
    .map((part, i) => {
      if (part?.type !== 'text') throw invalid(`${param}[${i}].type`, 'must be text: the model reads nothing else', 'unsupported_value');
      if (typeof part.text !== 'string') throw invalid(`${param}[${i}].text`, 'must be a text');
      return part.text;
    })
    .join('');
}

/** @param {import('../engine.js').Engine} engine @param {unknown} prompt a text or token ids; of several prompts one */
function promptTokens(engine, prompt) {
  const one = Array.isArray(prompt) && prompt.length === 1 && typeof prompt[0] !== 'number' ? prompt[0] : prompt;
  const last = engine.tokenizer.vocabSize - 1;
  if (typeof one === 'string') {
    const ids = engine.tokenize(one);
    if (ids.length > 0) return ids;
  } else if (Array.isArray(one) && one.length > 0) {
    const wrong = one.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id <= last));
    if (wrong < 0) return /** @type {number[]} */ (one);
    if (typeof one[wrong] === 'number') throw invalid(`prompt[${wrong}]`, `must be a token id from 0 to ${last}`);
  }
  throw invalid(
    'prompt',
    'must be one text or one list of token ids, not empty',
    prompt === undefined ? 'missing_required_parameter' : undefined,
  );
}
