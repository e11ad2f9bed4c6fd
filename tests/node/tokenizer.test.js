/** Token ids against native llama.cpp's, on the real model's vocabulary and on small ones with every kind of special case. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gguf } from '@huggingface/gguf';
import { createTokenizer } from '../../web/tokenizer/tokenizer.js';
import { startLlama } from './helpers/llama.js';
import { modelPath } from './helpers/model.js';
import { seededRandom } from './helpers/random.js';
import { texts, withVocabulary } from './helpers/tokenizer-oracle.js';

/** @typedef {import('./helpers/gguf-writer.js').Value} Value */
/** @typedef {import('../../web/tokenizer/tokenizer.js').Tokenizer} Tokenizer */

/** One name of each set of rules. */
const PRE_TOKENIZERS = [
  ...['smollm', 'llama-bpe', 'glm4', 'qwen2', 'qwen35', 'gpt-2', 'default', 'falcon', 'deepseek-llm', 'deepseek-coder'],
  ...['deepseek-v3', 'tekken', 'gpt-4o', 'bailingmoe', 'seed-coder', 'poro-chat', 'viking'],
];
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** @type {import('node-llama-cpp').Llama} */
let llama;
/** @type {string} */
let path;
/** @type {Record<string, any>} */
let real;

before(async () => {
  llama = await startLlama();
  path = await modelPath();
  real = (await gguf(path, { allowLocalFile: true })).metadata;
});
after(() => llama.dispose());

const wellFormed = (/** @type {string} */ text) => text.replace(/[\ud800-\udfff]/gu, '\ufffd');

/**
 * @param {Tokenizer} tokenizer
 * @param {import('node-llama-cpp').LlamaModel} oracle
 * @param {string[]} samples
 */
function assertSameIds(tokenizer, oracle, samples) {
  for (const text of samples) {
    for (const parseSpecial of [false, true]) {
      const ids = tokenizer.encode(text, { addSpecial: false, parseSpecial });
      assert.deepEqual(ids, oracle.tokenize(text, parseSpecial), `${JSON.stringify(text)}, parseSpecial ${parseSpecial}`);
    }
  }
}

/**
 * @param {Tokenizer} tokenizer
 * @param {import('node-llama-cpp').LlamaModel} oracle
 */
function assertSameSpecials(tokenizer, oracle) {
  const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id);
  assert.deepEqual(
    [...tokenizer.eosIds].sort((a, b) => a - b),
    ids.filter((id) => oracle.isEogToken(/** @type {any} */ (id))),
  );
  assert.equal(tokenizer.addBos, oracle.tokens.shouldPrependBosToken);
  if (tokenizer.addBos) assert.equal(tokenizer.bosId, oracle.tokens.bos);
}

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/**
 * A SentencePiece vocabulary out of the real model's tokens, so that it has real words in many scripts.
 * @param {{crossing: boolean, scoreOf: (rank: number) => number, specials: [string, number][]}} shape crossing: keep tokens
 *   with a space behind another character
 * @returns {Record<string, Value>}
 */
function sentencePiece({ crossing, scoreOf, specials }) {
  const tokenizer = createTokenizer(real);
  const words = new Set();
  for (let id = 20; id < tokenizer.vocabSize; id++) {
    const text = tokenizer.decode([id]).replaceAll(' ', '\u2581');
    // llama.cpp reads tokens as C strings: a NUL would end them.
    if (!/[\0\ufffd]/.test(text) && (crossing || !/[^\u2581]\u2581/.test(text))) words.add(text);
  }
  /** @type {[string, number][]} */
  const fixed = [['<unk>', TYPE.unknown], ['<s>', TYPE.control], ['</s>', TYPE.control], ...specials];
  for (const byte of BYTES) fixed.push([byte, TYPE.byte]);
  for (const [text] of fixed) words.delete(text);
  const all = [...fixed, .../** @type {[string, number][]} */ ([...words].map((text) => [text, TYPE.normal]))];
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': all.map(([text]) => text),
    'tokenizer.ggml.token_type': Int32Array.from(all, ([, type]) => type),
    'tokenizer.ggml.scores': Float32Array.from(all, (_, id) => scoreOf(id)),
  };
}

/**
 * A BPE vocabulary: every byte, then `tokens`.
 * @param {{tokens: [string, number][], merges: string[], pre: string}} shape
 * @returns {Record<string, Value>}
 */
function bytePair({ tokens, merges, pre }) {
  const characters = new Set();
  for (let byte = 0; byte < 256; byte++) {
    // 188 bytes print as themselves; GPT-2 maps the others to U+0100..U+0143.
    if ((byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad)) characters.add(String.fromCharCode(byte));
  }
  for (let i = 0; i < 68; i++) characters.add(String.fromCharCode(0x100 + i));
  const all = [...tokens, .../** @type {[string, number][]} */ ([...characters].map((text) => [text, TYPE.normal]))];
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.bos_token_id': 0,
    'tokenizer.ggml.eos_token_id': 1,
    'tokenizer.ggml.tokens': all.map(([text]) => text),
    'tokenizer.ggml.token_type': Int32Array.from(all, ([, type]) => type),
    'tokenizer.ggml.merges': merges,
  };
}

/** @param {Record<string, Value>} metadata */
const without = (metadata, /** @type {string} */ key) => {
  const { [key]: _, ...rest } = metadata;
  return rest;
};

describe('ids equal llama.cpp', () => {
  for (const pre of PRE_TOKENIZERS) {
    test(`SmolLM2's vocabulary, pre-tokenizer ${pre}`, async () => {
      const tokenizer = createTokenizer({ ...real, 'tokenizer.ggml.pre': pre });
      const samples = texts(pre === 'smollm' ? 2000 : 500, 42);
      await withVocabulary(llama, { path, pre }, (oracle) => assertSameIds(tokenizer, oracle, samples));
    });
  }

  test('SmolLM2 as it is: specials, and text back from ids', async () => {
    const tokenizer = createTokenizer(real);
    await withVocabulary(llama, { path }, (oracle) => {
      assertSameSpecials(tokenizer, oracle);
      for (const text of texts(500, 7)) {
        const ids = tokenizer.encode(text, { addSpecial: false, parseSpecial: true });
        for (const skipSpecial of [false, true]) {
          const expected = oracle.detokenize(/** @type {any} */ (ids), !skipSpecial);
          assert.equal(tokenizer.decode(ids, { skipSpecial }), expected, JSON.stringify(text));
        }
      }
    });
  });

  test('SentencePiece: words apart, distinct scores', async () => {
    const metadata = sentencePiece({ crossing: false, scoreOf: (rank) => -rank, specials: [] });
    const tokenizer = createTokenizer(metadata);
    await withVocabulary(llama, { metadata }, (oracle) => {
      assertSameIds(tokenizer, oracle, texts(500, 1));
      assertSameSpecials(tokenizer, oracle);
    });
  });

  test('SentencePiece: tokens across words, equal scores, no space in front, user-defined white space', async () => {
    /** @type {[string, number][]} */
    const specials = [
      ['\n\n', TYPE.userDefined],
      ['\n\n\n', TYPE.userDefined],
      ['  ', TYPE.userDefined],
    ];
    specials.push(['<|im_start|>', TYPE.control], ['<|im_end|>', TYPE.userDefined], ['[PAD]', TYPE.normal]);
    const metadata = {
      ...sentencePiece({ crossing: true, scoreOf: (rank) => -(rank >> 5), specials }),
      'tokenizer.ggml.add_space_prefix': false,
      'tokenizer.ggml.add_bos_token': false,
    };
    const tokenizer = createTokenizer(metadata);
    await withVocabulary(llama, { metadata }, (oracle) => {
      assertSameIds(tokenizer, oracle, texts(500, 2));
      assertSameSpecials(tokenizer, oracle);
    });
  });

  test('SentencePiece without scores or token types', async () => {
    const full = sentencePiece({ crossing: false, scoreOf: () => 0, specials: [] });
    const metadata = without(without(full, 'tokenizer.ggml.scores'), 'tokenizer.ggml.token_type');
    const tokenizer = createTokenizer(metadata);
    await withVocabulary(llama, { metadata }, (oracle) => assertSameIds(tokenizer, oracle, texts(200, 3)));
  });

  test('Phi-3 drops white space behind its special tokens', async () => {
    /** @type {[string, number][]} */
    const specials = [
      ['<|user|>', TYPE.control],
      ['<|end|>', TYPE.control],
      ['<|endoftext|>', TYPE.control],
    ];
    const shape = sentencePiece({ crossing: false, scoreOf: (rank) => -rank, specials });
    const metadata = { ...shape, 'general.name': 'Phi-3 mini' };
    const samples = ['<|user|>\n hi <|end|>\n\t<|user|> a', '<s> a<|endoftext|> b', '<|end|> ', '</s>\u00a0x'];
    const tokenizer = createTokenizer(metadata);
    await withVocabulary(llama, { metadata }, (oracle) => assertSameIds(tokenizer, oracle, samples));
  });

  for (const pre of ['llama-bpe', 'tekken', 'qwen2']) {
    test(`small BPE vocabulary, ${pre}: overlapping specials, dead merges, whole words`, async () => {
      const metadata = bytePair({
        pre,
        tokens: [
          ...[
            ['<bos>', TYPE.control],
            ['<eos>', TYPE.control],
            ['<a>', TYPE.userDefined],
            ['<a><b>', TYPE.control],
          ],
          ...[
            ['><b', TYPE.userDefined],
            ['<u>', TYPE.unknown],
            ['<n>', TYPE.unused],
            ['<x y>', TYPE.userDefined],
          ],
          ...[
            ['ab', TYPE.normal],
            ['cd', TYPE.normal],
            ['whole', TYPE.normal],
            ['<|eot_id|>', TYPE.normal],
          ],
        ].map(([text, type]) => /** @type {[string, number]} */ ([text, type])),
        // "x y" merges into no token; the second "a b" must not change the rank of the first.
        merges: ['a b', 'c d', 'x y', 'b c', 'a b', 'x\u0120 y', '\u0120 x'],
      });
      const samples = ['abc abcd bcd aab abab', 'xyxy x y xy', 'whole unwhole whole', '<a><b><a>b<eos><n><u><bos>', '<a><b', '<x y>'];
      const tokenizer = createTokenizer(metadata);
      await withVocabulary(llama, { metadata }, (oracle) => {
        assertSameIds(tokenizer, oracle, [...samples, ...texts(100, 4)]);
        assertSameSpecials(tokenizer, oracle);
      });
    });
  }
});

describe('encode and decode', () => {
  test('BOS and EOS as the file asks', () => {
    const plain = createTokenizer(real).encode('a b');
    const both = { ...real, 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.add_eos_token': true };
    const tokenizer = createTokenizer(both);
    assert.deepEqual(tokenizer.encode('a b'), [tokenizer.bosId, ...plain, tokenizer.eosId]);
    assert.deepEqual(tokenizer.encode('a b', { addSpecial: false }), plain);
    assert.deepEqual(tokenizer.encode(''), [tokenizer.bosId, tokenizer.eosId]);
  });

  test('text comes back, spaces in front included', () => {
    const spm = createTokenizer(sentencePiece({ crossing: false, scoreOf: (rank) => -rank, specials: [] }));
    const bpe = createTokenizer(real);
    // SmolLM2's vocabulary lacks some bytes: what it cannot write, llama.cpp loses as well.
    const writable = texts(300, 5).filter((text) => !/[\u{40000}-\u{10ffff}]/u.test(text));
    for (const text of writable) {
      assert.equal(bpe.decode(bpe.encode(text)), wellFormed(text));
      if (text.includes('\u2581')) continue; // which stands for a space in SentencePiece
      assert.equal(spm.decode(spm.encode(text, { addSpecial: false })), wellFormed(text));
      assert.equal(spm.decode(spm.encode(text), { skipSpecial: true }), wellFormed(text));
    }
  });

  test('a stream holds back unfinished characters and keeps the space in front', () => {
    const tokenizer = createTokenizer(sentencePiece({ crossing: false, scoreOf: (rank) => -rank, specials: [] }));
    const stream = tokenizer.decodeStream();
    const text = '\u{1f9ff}\u00e9\ufeff';
    const pieces = tokenizer.encode(text, { addSpecial: false }).map((id) => stream.push(id));
    assert.ok(pieces.includes(''), 'the emoji is four byte tokens');
    assert.ok(pieces.every((piece) => !piece.includes('\ufffd') && wellFormed(piece) === piece));
    assert.equal(pieces.join('') + stream.flush(), ` ${text}`);

    const byte = (/** @type {number} */ value) => 3 + value; // behind <unk>, <s> and </s>
    assert.equal(tokenizer.tokenText(byte(0xf0)), '<0xF0>');
    const broken = tokenizer.decodeStream();
    assert.equal(broken.push(byte(0xf0)) + broken.push(byte(0x9f)), '');
    assert.equal(broken.flush(), '\ufffd');
  });

  test('a megabyte without a break', () => {
    const random = seededRandom(6);
    const letters = Array.from({ length: 1 << 20 }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join('');
    const spm = createTokenizer(sentencePiece({ crossing: false, scoreOf: (rank) => -rank, specials: [] }));
    for (const tokenizer of [createTokenizer(real), spm]) {
      for (const text of [letters, ' '.repeat(1 << 20)]) {
        assert.equal(tokenizer.decode(tokenizer.encode(text, { addSpecial: false })), text);
      }
    }
  });
});

describe('bad input', () => {
  const refuses = (/** @type {Record<string, unknown>} */ change, /** @type {object} */ error) =>
    assert.throws(() => createTokenizer({ ...real, ...change }), { name: 'HalfspaceError', ...error });

  test('kinds and pre-tokenizers that are not known', () => {
    refuses({ 'tokenizer.ggml.model': 'bert' }, { code: 'unsupported', field: 'tokenizer.ggml.model', value: 'bert' });
    refuses({ 'tokenizer.ggml.model': undefined }, { code: 'unsupported', field: 'tokenizer.ggml.model' });
    refuses({ 'tokenizer.ggml.pre': 'kimi-k2' }, { code: 'unsupported', field: 'tokenizer.ggml.pre', value: 'kimi-k2' });
  });

  test('broken vocabularies', () => {
    const tokens = real['tokenizer.ggml.tokens'];
    const bad = (/** @type {string} */ key, /** @type {unknown} */ value) =>
      refuses({ [`tokenizer.ggml.${key}`]: value }, { code: 'bad-file', field: `tokenizer.ggml.${key}` });
    bad('tokens', undefined);
    bad('tokens', []);
    bad('tokens', [1, 2]);
    bad('tokens', [...tokens.slice(0, -1), tokens[100]]);
    bad('token_type', [1, 1, 1]);
    bad('token_type', 'normal');
    bad('merges', undefined);
    bad('merges', ['ab']);
    bad('bos_token_id', tokens.length);
    bad('eos_token_id', -1);
    bad('add_bos_token', 'yes');
    refuses(
      { 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.bos_token_id': undefined },
      { code: 'bad-file', field: 'tokenizer.ggml.bos_token_id' },
    );
  });

  test('a SentencePiece vocabulary that lacks a byte', () => {
    const metadata = { 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', '\u2581', 'a'] };
    const tokenizer = createTokenizer(metadata);
    assert.deepEqual(tokenizer.encode('a a'), [1, 3, 4, 3, 4]);
    assert.throws(() => tokenizer.encode('\u00e9'), { code: 'bad-file', value: '<0xC3>' });
  });

  test('arguments', () => {
    const tokenizer = createTokenizer(real);
    assert.throws(() => tokenizer.encode(/** @type {any} */ (7)), { code: 'bad-argument', field: 'text' });
    for (const id of [-1, tokenizer.vocabSize, 1.5, NaN]) {
      assert.throws(() => tokenizer.decode([id]), { code: 'bad-argument', field: 'id', limit: tokenizer.vocabSize - 1 });
    }
  });
});
