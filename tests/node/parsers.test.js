/** What parsers do at the edges of what they take, where no other test goes. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';

import { Template } from '@huggingface/jinja';

import { KvCache } from '../../web/attention.js';
import { coreOf } from '../../web/attention/core.js';
import { renderChat } from '../../web/chat/chat.js';
import { LIMITS as TEMPLATE } from '../../web/chat/template.js';
import { Engine } from '../../web/engine.js';
import { ChunkError } from '../../web/errors.js';
import { modelConfig } from '../../web/model/config.js';
import { HeaderReader } from '../../web/model/gguf-reader.js';
import { LIMITS, readGguf } from '../../web/model/gguf.js';
import { loadWeights } from '../../web/model/weights.js';
import { readJson } from '../../web/server/http.js';
import { readRequest } from '../../web/server/request.js';
import { encodeHeader, LIMITS as SNAPSHOT, TYPES } from '../../web/snapshot/format.js';
import { verifySnapshot } from '../../web/snapshot/inspect.js';
import { readTokens } from '../../web/snapshot/resume.js';
import { Staging } from '../../web/snapshot/staging.js';
import { createTokenizer } from '../../web/tokenizer/tokenizer.js';
import { memorySource, models } from '../fuzz/models.js';
import { failure } from './helpers/failure.js';
import { bytesOf, putTogether, takeApart, withHeader } from './helpers/snapshot-edit.js';

describe('GGUF', async () => {
  const { metadata, tensors, fingerprint } = await readGguf(memorySource(models[0]));
  /** @param {Record<string, unknown>} changes @param {import('../../web/model/config.js').RopeOptions} [rope] */
  const config = (changes, rope) => modelConfig({ metadata: { ...metadata, ...changes }, tensors, fingerprint }, { rope });
  const wrong = (/** @type {() => unknown} */ run, /** @type {[string, string, unknown?]} */ ...expected) =>
    assert.throws(run, failure(...expected));

  test('padding behind the tables is read where it was not', async () => {
    const bytes = new Uint8Array((2 << 20) + 100);
    const reader = new HeaderReader(memorySource(bytes), LIMITS);
    await reader.uint32('a');
    assert.equal((await reader.bytesTo((2 << 20) + 50)).length, (2 << 20) + 50);
    assert.equal((await reader.bytesTo(5 << 20)).length, bytes.length, 'as far as the file goes');
  });

  test('features and values that are not supported', () => {
    wrong(() => config({ 'llama.expert_count': 8 }), 'unsupported', 'llama.expert_count', 8);
    wrong(() => config({ 'llama.attention.value_length': 32 }), 'unsupported', 'llama.attention.value_length', 32);
    wrong(() => config({ 'llama.block_count': undefined }), 'bad-file', 'llama.block_count', undefined);
    wrong(() => config({ 'llama.rope.scaling.type': 'other' }), 'unsupported', 'rope.scaling', 'other');
    wrong(() => config({}, { factor: 5000 }), 'bad-argument', 'rope.factor', 5000);
    wrong(() => config({}, { theta: 0 }), 'bad-argument', 'rope.theta', 0);
    wrong(() => config({}, { theta: 2, origContext: NaN }), 'bad-argument', 'rope.origContext', NaN);
    assert.equal(config({ 'general.name': ['x'] }).name, 'llama');
    wrong(() => modelConfig({ metadata, tensors: [], fingerprint }), 'bad-file', 'token_embd.weight');
  });

  test('Gemma 3 of 62 layers scales queries by the width per head', async () => {
    const file = await readGguf(memorySource(models[2]));
    const scale = (/** @type {number} */ layers) =>
      new Float32Array(modelConfig({ ...file, metadata: { ...file.metadata, 'gemma3.block_count': layers } }).words)[22];
    assert.deepEqual([scale(7), scale(62)], [0, 1 / 8]);
  });

  test('a tensor that has the name of no tensor', async () => {
    const load = (/** @type {string} */ name) =>
      loadWeights(/** @type {any} */ (undefined), 0, /** @type {any} */ ({ tensors: [{ name }] }), 2, memorySource(new Uint8Array()));
    for (const name of ['nothing', 'blk.x.attn_q.weight', 'blk.01.attn_q.weight', 'blk.0.constructor'])
      await assert.rejects(load(name), failure('unsupported', 'tensor', name));
  });
});

describe('tokenizers', async () => {
  const [spm, bpe] = await Promise.all([0, 1].map(async (i) => (await readGguf(memorySource(models[i]))).metadata));
  const key = (/** @type {string} */ name) => `tokenizer.ggml.${name}`;

  test('tokens of every type come back as text', () => {
    const tokens = ['<unk>', '<s>', '</s>', 'own', '\u2581a', '', '<0x41>', '<0xZZ>', 'gone'];
    const types = Int32Array.of(2, 3, 3, 4, 1, 1, 6, 6, 5);
    const tokenizer = createTokenizer({ ...spm, [key('tokens')]: tokens, [key('token_type')]: types, [key('scores')]: undefined });
    assert.equal(tokenizer.decode([3, 4, 5, 6, 8]), 'own a[EMPTY_5]A');
    assert.equal(tokenizer.decode([0, 1, 2, 3], { skipSpecial: true }), 'own');
    assert.throws(() => tokenizer.decode([7]), failure('bad-file', key('tokens'), '<0xZZ>'));
    assert.throws(() => tokenizer.decode([9]), failure('bad-argument', 'id', 9));
    assert.throws(() => tokenizer.encode('\u00e4'), failure('bad-file', key('tokens'), '<0xE2>'));
    assert.equal(tokenizer.protect('own</s>own'), 'own<\ufdd0/s>own', 'tokens of the user are no control tokens');
  });

  test('a byte below 128 may be a token by itself', () => {
    const tokens = ['<unk>', '<s>', '</s>', '\u2581', 'a'];
    const tokenizer = createTokenizer({
      ...spm,
      [key('tokens')]: tokens,
      [key('token_type')]: Int32Array.of(2, 3, 3, 1, 1),
      [key('scores')]: undefined,
    });
    assert.deepEqual(tokenizer.encode('a', { addSpecial: false }), [3, 4]);
    assert.throws(() => tokenizer.encode('b'), failure('bad-file', key('tokens'), '<0x62>'));
  });

  test('a character that stands for no byte is kept, and no pre-tokenizer is the default one', () => {
    const tokens = [.../** @type {string[]} */ (bpe[key('tokens')])];
    tokens[5] = '\u534a';
    const tokenizer = createTokenizer({ ...bpe, [key('tokens')]: tokens, [key('pre')]: undefined });
    assert.equal(tokenizer.decode([5]), '\u534a');
    assert.equal(tokenizer.decode(tokenizer.encode('a bed', { addSpecial: false })), 'a bed');
  });

  test('more words than are remembered', () => {
    const tokenizer = createTokenizer(bpe);
    const letter = (/** @type {number} */ n) => String.fromCharCode(97 + (n % 26));
    const words = Array.from({ length: 40_000 }, (_, i) => letter(i) + letter(i / 26) + letter(i / 676) + letter(i / 17_576));
    const ids = tokenizer.encode(words.join('<'), { addSpecial: false });
    assert.equal(tokenizer.decode(ids), words.join('<'));
  });

  test('end tokens that are asked for and not named', () => {
    assert.throws(
      () => createTokenizer({ ...bpe, [key('bos_token_id')]: undefined, [key('add_bos_token')]: true }),
      failure('bad-file', key('bos_token_id')),
    );
    assert.throws(() => createTokenizer({ ...bpe, [key('add_eos_token')]: 'yes' }), failure('bad-file', key('add_eos_token'), 'yes'));
  });
});

describe('chat templates', () => {
  const tokenizer = { bosId: 0, eosId: null, addBos: true, tokenText: () => '<s>', protect: (/** @type {string} */ text) => text };
  const render = (/** @type {string} */ template) =>
    renderChat({ 'tokenizer.chat_template': template }, tokenizer, [{ role: 'user', content: 'hi' }]);

  test('templates as models have them give what the library gives without limits', () => {
    const messages = [
      { role: 'system', content: 'Be brief. ' },
      { role: 'user', content: 'What is 2 + 2?' },
      { role: 'assistant', content: '<think>easy</think>\n\n4' },
      { role: 'user', content: 'And 3?\nReally' },
    ];
    const qwen = `{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}
    {%- if loop.last or (not loop.last and loop.index0 > ns.last_query_index) %}{{- '[last]' }}{%- endif %}
    {{- '<|im_start|>' + message.role + '\n' + content.strip('\n') + '<|im_end|>' + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}`;
    const llama = `{% macro shown(m, last=false) %}{{ m['content'] | trim | replace('\n', ' ') }}{% if last %}!{% endif %}{% endmacro %}
{{- bos_token }}{% set loop_messages = messages %}{% for message in loop_messages if message['role'] != 'system' %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{{ '<|start_header_id|>' ~ message.role | upper ~ '<|end_header_id|>' }}{{ shown(message, last=loop.last) }}<|eot_id|>{% endfor %}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') }}{{ messages[1:3] | tojson(indent=2) }}
{% for key, value in messages[0].items() | list %}{{ key }}={{ value | length }};{% endfor %}{% filter upper %}{{ messages[0].content }}{% endfilter %}
{{ [3, 1, 2] | sort(reverse=true) | first }}{{ {'b': 1, 'a': 2} | dictsort | length }}{{ range(0, 6, 2) | list }}{{ x is defined }}{{ none | default('d', true) }}`;
    for (const source of [qwen, llama]) {
      const expected = new Template(source).render({ messages, add_generation_prompt: true, bos_token: '<s>', eos_token: '' });
      assert.equal(renderChat({ 'tokenizer.chat_template': source }, { ...tokenizer, addBos: false }, messages), expected);
      assert.ok(expected.length > 150);
    }
  });

  test('steps are limited whatever the clock says', () => {
    const { now } = performance;
    performance.now = () => 0;
    const loops = '{% set r = range(2000) %}{% for a in r %}{% for b in r %}{{ b }}{% endfor %}{% endfor %}';
    try {
      assert.throws(() => render(loops), failure('unsupported', 'tokenizer.chat_template', TEMPLATE.steps + 1));
    } finally {
      performance.now = now;
    }
  });

  test('arguments in lists, missing ones, and values that are none', () => {
    assert.equal(render("{{ [1, 2] | join(*['-']) }}{{ eos_token }}{{ {'a': 'b'} | tojson(**{'indent': 1}) | length }}"), '1-213');
    assert.equal(render("{{ '  '.split() | length }}{{ 'a b'.split([] | first) | length }}{{ 'a' | indent([] | first) }}"), '02a');
    for (const broken of ["{{ 'a'.replace() }}", "{{ ([] | first) | default('x') }}"])
      assert.throws(() => render(broken), failure('bad-argument', 'messages'), broken);
  });
});

describe('bodies of requests', () => {
  const request = (/** @type {Iterable<Buffer>} */ parts, headers = {}) =>
    /** @type {any} */ (Object.assign(Readable.from(parts), { headers }));
  const json = { 'content-type': 'application/json; charset=utf-8' };

  test('without a type, and of one that never ends', async () => {
    await assert.rejects(readJson(request([]), 10), { status: 415 });
    let taken = 0;
    const endless = (function* () {
      for (const part = Buffer.alloc(1 << 20); ; taken++) yield part;
    })();
    await assert.rejects(readJson(request(endless, json), 10), { status: 413 });
    assert.ok(taken >= 64 && taken < 100, `${taken} MiB were taken`);
  });

  test('that are no JSON, or no object', async () => {
    for (const body of ['', '{', 'null', '[]', '7', '\xff'])
      await assert.rejects(readJson(request([Buffer.from(body, 'latin1')], json), 10), { status: 400 });
    const broken = Object.assign(Readable.from([]), { headers: json });
    broken.destroy(new Error('gone'));
    await assert.rejects(readJson(/** @type {any} */ (broken), 10), { message: 'gone' });
  });

  test('whose prompt is none', () => {
    // A model that begins no text with a token of its own.
    const engine = /** @type {any} */ ({
      ctx: 9,
      tokenizer: { vocabSize: 300 },
      tokenize: (/** @type {string} */ text) => [...Buffer.from(text)],
    });
    const read = (/** @type {unknown} */ prompt) => readRequest('text', { model: 'm', prompt }, { engine, model: 'm', maxTokens: 4 });
    assert.deepEqual([read('ab').ids, read(['ab']).ids, read([97, 299]).ids, read([[7]]).ids], [[97, 98], [97, 98], [97, 299], [7]]);
    for (const [prompt, param, code] of /** @type {[unknown, string, string][]} */ ([
      [undefined, 'prompt', 'missing_required_parameter'],
      ['', 'prompt', 'invalid_value'],
      [[], 'prompt', 'invalid_value'],
      [[''], 'prompt', 'invalid_value'],
      [['a', 'b'], 'prompt', 'invalid_value'],
      [{}, 'prompt', 'invalid_value'],
      [[1, 300], 'prompt[1]', 'invalid_value'],
      [[1, -1], 'prompt[1]', 'invalid_value'],
      ['123456789', 'prompt', 'context_length_exceeded'],
    ]))
      assert.throws(
        () => read(prompt),
        (/** @type {any} */ { status, body: { error } }) => {
          assert.deepEqual([status, error.param, error.code], [400, param, code], JSON.stringify(prompt));
          return true;
        },
      );
  });
});

describe('snapshots', async () => {
  const cache = await KvCache.create({ headDim: 16 });
  cache.append({ keys: new Float32Array(640), values: new Float32Array(640) });
  const bytes = await bytesOf(cache.readable());
  const { wasm } = await coreOf();
  const parts = () => takeApart(bytes);
  const chunkError = (/** @type {string} */ field) => (/** @type {unknown} */ error) =>
    error instanceof ChunkError && error.field === field;
  /** Checksums of heads and payloads are right afterwards; that of the whole is the file's own. @param {(view: DataView) => void} edit */
  async function withTrailer(edit) {
    const [trailer] = parts().slice(-1);
    const payload = Uint8Array.from(trailer.payload);
    edit(new DataView(payload.buffer));
    const changed = parts();
    changed[changed.length - 1] = { ...trailer, payload: new Uint8Array([...payload, 0]) };
    const whole = await putTogether(bytes, changed); // not taken for a trailer that is to be made right
    return reframed(whole, payload);
  }
  /** The last record with another payload. @param {Uint8Array} whole @param {Uint8Array} payload */
  async function reframed(whole, payload) {
    const staging = new Staging(wasm);
    const { offset } = takeApart(whole)[takeApart(whole).length - 1];
    const record = new Uint8Array(48 + payload.length);
    record.set(whole.subarray(offset, offset + 48));
    record.set(payload, 48);
    const view = new DataView(record.buffer);
    view.setUint32(8, payload.length, true);
    staging.reserve(payload.length);
    staging.payload(payload.length).set(payload);
    view.setBigUint64(32, staging.payloadChecksum(payload.length), true);
    view.setBigUint64(40, staging.checksum(record.subarray(0, 40)), true);
    staging.free();
    return new Uint8Array(Buffer.concat([whole.subarray(0, offset), record]));
  }

  test('a start with more than its version, and headers that are none', async () => {
    const reserved = bytes.slice();
    reserved[12] = 1;
    await assert.rejects(verifySnapshot(reserved), failure('bad-file', 'reserved', 1));
    const [first, ...others] = parts();
    for (const [text, field] of [
      ['{', 'header'],
      ['null', 'kind'],
      ['\xff', 'header'],
    ]) {
      const payload = new Uint8Array(Buffer.from(text, 'latin1'));
      await assert.rejects(verifySnapshot(await putTogether(bytes, [{ ...first, payload }, ...others])), failure('bad-file', field));
    }
    const long = /** @type {any} */ ({ valueNorms: Array(SNAPSHOT.headerBytes).fill(1) });
    assert.throws(() => encodeHeader(long), failure('bad-file', 'header'));
  });

  test('a trailer that says something else', async () => {
    await verifySnapshot(await withTrailer(() => {}));
    await assert.rejects(verifySnapshot(await withTrailer((view) => view.setUint32(0, 99, true))), chunkError('records'));
    await assert.rejects(verifySnapshot(await withTrailer((view) => view.setBigUint64(8, 99n, true))), chunkError('bytes'));
    await assert.rejects(verifySnapshot(await withTrailer((view) => view.setUint8(20, view.getUint8(20) ^ 1))), chunkError('hash'));
  });

  test('records of types that are none, and a chunk too many', async () => {
    const all = parts();
    const chunk = all[1];
    for (const type of [0, 9, TYPES.header, TYPES.tokens])
      await assert.rejects(
        verifySnapshot(await putTogether(bytes, [all[0], { ...chunk, head: { ...chunk.head, type } }])),
        chunkError('type'),
      );
    await assert.rejects(verifySnapshot(await putTogether(bytes, [...all.slice(0, -1), chunk, all[all.length - 1]])), chunkError('place'));
    await assert.rejects(
      verifySnapshot(await putTogether(bytes, [{ ...chunk, head: { ...chunk.head, type: TYPES.chunk } }])),
      chunkError('type'),
    );
  });

  test('layouts that do not fit', async () => {
    for (const [field, edit] of /** @type {[string, (header: any) => void][]} */ ([
      ['layout', (header) => (header.layout = [[]])],
      ['layout', (header) => (header.layout = [[[1, 40]]])],
      ['layout', (header) => (header.layout = [[[0, 39]]])],
      ['layout', (header) => (header.layout = [null])],
      ['layout', (header) => (header.layout = null)],
      ['valueNorms', (header) => (header.valueNorms = null)],
      ['valueNorms', (header) => (header.valueNorms = [-1])],
      ['shape.headDim', (header) => (header.shape.headDim = 20)],
      ['rope', (header) => Object.assign(header, { kind: 'context', rope: 7, model: 'a'.repeat(64) })],
      ['base', (header) => (header.base = 'x')],
      ['index.leaf', (header) => (header.index = null)],
      ['shape.layers', (header) => (header.shape = null)],
    ]))
      await assert.rejects(verifySnapshot(await withHeader(bytes, edit)), failure('bad-file', field), field);
  });

  test('tokens of what has none, and a staging that was given back', async () => {
    assert.deepEqual((await readTokens(wasm, bytes)).tokens, []);
    assert.equal((await verifySnapshot(memorySource(bytes))).info.header.kind, 'cache', 'from a source that is open');
    const staging = new Staging(wasm);
    staging.free();
    assert.throws(() => staging.reserve(1), failure('closed', 'snapshot'));
    cache.free();
  });
});

// Last, as other tests need the rest of `crypto` before they begin.
test('what needs SHA-256 needs no crypto.subtle, which pages that are not secure do not have', async () => {
  const descriptor = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(globalThis, 'crypto'));
  Object.defineProperty(globalThis, 'crypto', { value: {}, configurable: true });
  try {
    const engine = await Engine.load(models[0], { variant: 'simd' });
    const prefix = await engine.prefill([5]);
    const again = await engine.resume(prefix.snapshot());
    assert.deepEqual(again.ids, [5]);
    engine.close();
  } finally {
    Object.defineProperty(globalThis, 'crypto', descriptor);
  }
});
