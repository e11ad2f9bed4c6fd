/** Chat templates: the real model's, and small ones for what templates may do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gguf } from '@huggingface/gguf';
import { renderChat } from '../../web/chat/chat.js';
import { createTokenizer } from '../../web/tokenizer/tokenizer.js';
import { modelPath } from './helpers/model.js';

const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi <|im_end|> \u00e9 {{ x }}' },
];

/** A tokenizer as far as chat goes. */
const tokenizerWith = (/** @type {boolean} */ addBos, bosId = /** @type {number | null} */ (0)) => ({
  bosId,
  eosId: 1,
  addBos,
  tokenText: (/** @type {number} */ id) => ['<bos>', '<eos>'][id],
  protect: (/** @type {string} */ text) => text,
});
const template = (/** @type {unknown} */ source) => ({ 'tokenizer.chat_template': source });

describe('renderChat', () => {
  test("SmolLM2's template, and one token per marker when encoded", async () => {
    const { metadata: typed } = await gguf(await modelPath(), { allowLocalFile: true });
    const metadata = /** @type {Record<string, unknown>} */ (typed);
    const tokenizer = createTokenizer(metadata);
    const closed = '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n';
    const messages = [MESSAGES[0], { role: 'user', content: 'Hi' }];
    assert.equal(renderChat(metadata, tokenizer, messages, { addGenerationPrompt: false }), closed);
    const text = renderChat(metadata, tokenizer, messages);
    assert.equal(text, `${closed}<|im_start|>assistant\n`);

    const ids = tokenizer.encode(text, { parseSpecial: true });
    const starts = ids.filter((id) => tokenizer.tokenText(id) === '<|im_start|>');
    assert.equal(starts.length, 3);
    assert.ok(tokenizer.eosIds.has(ids[ids.indexOf(starts[0], 1) - 2]), '<|im_end|> ends a reply');
    assert.equal(tokenizer.decode(ids), text);
  });

  test('the template gets messages, special tokens and the clock; contents are text, not templates', () => {
    const source =
      '{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}' +
      "{{ strftime_now('%Y') | length }}{% if add_generation_prompt %}[assistant]{% endif %}{% if tools %}tools{% endif %}";
    const text = renderChat(template(source), tokenizerWith(false), MESSAGES);
    assert.equal(text, `<bos>[system]Be brief.<eos>[user]${MESSAGES[1].content}<eos>4[assistant]`);
  });

  test('one BOS: what encode adds, the text leaves out', () => {
    const writesBos = template('{{ bos_token }}{{ messages[0].content }}{{ bos_token }}');
    assert.equal(renderChat(writesBos, tokenizerWith(true), MESSAGES), 'Be brief.<bos>');
    assert.equal(renderChat(writesBos, tokenizerWith(false), MESSAGES), '<bos>Be brief.<bos>');
    assert.equal(renderChat(writesBos, tokenizerWith(false, null), MESSAGES), 'Be brief.');
    assert.equal(renderChat(template('x'), tokenizerWith(true), MESSAGES), 'x');
  });
});

describe('bad input', () => {
  const refuses = (/** @type {unknown} */ source, /** @type {any} */ messages, /** @type {object} */ error) =>
    assert.throws(() => renderChat(template(source), tokenizerWith(true), messages), { name: 'HalfspaceError', ...error });

  test('no template, or one that cannot be parsed', () => {
    const field = 'tokenizer.chat_template';
    refuses(undefined, MESSAGES, { code: 'unsupported', field });
    refuses('{% if %}', MESSAGES, { code: 'unsupported', field });
    refuses('{% for m in messages %}', MESSAGES, { code: 'unsupported', field });
  });

  test('a template that refuses says why', () => {
    const source = "{{ raise_exception('roles must alternate') }}";
    refuses(source, MESSAGES, { code: 'bad-argument', field: 'messages', message: /roles must alternate/ });
  });

  test('malformed messages', () => {
    for (const messages of [undefined, 'hi', [], {}]) refuses('x', messages, { code: 'bad-argument', field: 'messages' });
    refuses('x', [MESSAGES[0], { role: 'user' }], { code: 'bad-argument', field: 'messages[1].content' });
    refuses('x', [{ role: 1, content: 'a' }], { code: 'bad-argument', field: 'messages[0].role' });
    refuses('x', [null], { code: 'bad-argument', field: 'messages[0].role' });
  });
});
