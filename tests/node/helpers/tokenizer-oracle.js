/** Vocabularies in native llama.cpp, and the texts to compare on. */
import { writeGguf } from './gguf-writer.js';
import { withLlamaModel } from './llama.js';
import { seededRandom } from './random.js';

/** @typedef {import('./gguf-writer.js').Value} Value */
/** @typedef {import('node-llama-cpp').LlamaModel} LlamaModel */

/** What llama.cpp wants to know of a model even when it loads the vocabulary alone. */
const ARCHITECTURE = {
  'general.architecture': 'llama',
  'llama.context_length': 512,
  'llama.embedding_length': 64,
  'llama.block_count': 1,
  'llama.feed_forward_length': 64,
  'llama.attention.head_count': 1,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
};

/**
 * Gives `use` the vocabulary of a file, or of metadata, as llama.cpp reads it.
 * @template T
 * @param {import('node-llama-cpp').Llama} llama
 * @param {{path: string, pre?: string} | {metadata: Record<string, Value>}} source pre: overrides tokenizer.ggml.pre
 * @param {(model: LlamaModel) => T} use
 * @returns {Promise<T>}
 */
export function withVocabulary(llama, source, use) {
  const file = 'path' in source ? source.path : writeGguf({ ...ARCHITECTURE, ...source.metadata });
  const pre = 'pre' in source ? source.pre : undefined;
  const metadataOverrides = pre === undefined ? {} : { tokenizer: { ggml: { pre } } };
  return withLlamaModel(llama, file, { vocabOnly: true, metadataOverrides }, use);
}

/** Texts chosen to part tokenizers that differ. */
const TEXTS = [
  ...['', ' ', '  ', 'Hello, world!', ' leading', 'trailing  ', 'a\n\nb\r\nc\r\n\r\n  d\t\te', '   \n   x   \n\n\n'],
  ...["I'm you'RE we'Ve it'S don't 'tis ''s '", "'S 'LL 'Ll '\u2019s ~'re", 'don\u2019t \u201cquote\u201d \u2014 \u2013 \u2026'],
  'function f(x) {\n\treturn x?.y ?? [1,2,3].map((a) => a ** 2); // ok\n}\n',
  '#include <stdio.h>\nint main(void){printf("%d\\n", 0x1F);}\n',
  '1234567890 3.14159 1,000,000 \u00b2\u00b3 \u00bd \u2167 \u0663\u0664\u0665 \u0967\u0968\u0969 \u4e00\u4e8c',
  'na\u00efve caf\u00e9 e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343\u036a\u0302\u036b\u033dA\u0334\u0335\u031cL',
  '\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587\u3001\u30ab\u30bf\u30ab\u30ca\u3002\ud55c\uad6d\uc5b4 \u4e2d\u6587\uff0c\u6807\u70b9\uff01',
  '\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eRTL\u202c',
  '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇫🇷 😀😃',
  '\u00a0\u2003\u3000\u2028\u2029\u0085 x\u00a0y \ufeffz \u200bq \u180e',
  ...['\ud800', 'a\udc00b', '\ud83d', 'x\ud800\ud800y', '\u{9aff7}\u{10ffff}', '\0\x01\x7f\x1b[31m'],
  ...['<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n', '<|endoftext|><|endoftext|> a <|im_start|'],
  ...['<file_sep><reponame>x<gh_stars>', '<|im_start|><|im_start|>', 'x <|im_end|> y', '[INST] <<SYS>> </s><s>', '<0x0A>'],
  '~~~ ``` ^^^ $$$ +++ <<>> ||| \\\\ ___ *** &&& %%%',
  '\u00c0\u00c9\u00ce\u00f5\u00fc\u00df \u0391\u0392\u0393\u03b4 \u0410\u0411\u0432 \u011e\u0130\u015e \u01c5 \ufb01 \u017f \u212a \u2126',
  '\u{10400}\u{10428} \u{1d49c}\u{1d4d1} \u{1e900}\u{1e943} \u{20000}\u{20001} \u{118a0}',
  ...['http://example.com/a?b=c&d=%20e#f user@host.org', 'MixedCASEWords XMLHttpRequest iPhone HTMLElement'],
  ...['a'.repeat(300), `${' '.repeat(200)}x`, '\n'.repeat(50), '9'.repeat(100), '!'.repeat(100), '\t \t\n \r', 'a\rb\r\rc'],
  '\u3000\u5168\u89d2\u3000 \u0e01\u0e47\u0e2a\u0e27\u0e31 \u0939\u093f\u0928\u094d\u0926\u0940 \u30fd\u309b\u3006\u3007 \u30fc',
  ...['\u2581\u2581 a\u2581b', 'a  b   c    d', '\n\n\n a \n\n b'],
];
const SNIPPETS = [
  ...["'s", "'re", "'LL", ' ', '  ', '\n', '\r\n', '\n\n', '\t', ' \n', 'the', ' and', 'Foo', '123', '....', '~'],
  ...['<|im_start|>', '<|im_end|>', '\u00e9', '\u4e2d', '😀', '\u200d', '\ud83d', '\u2581', '</s>', '<s>'],
];
const RANGES = [
  ...[
    [0x20, 0x7e],
    [0x09, 0x0d],
    [0x30, 0x39],
    [0x41, 0x7a],
    [0x20, 0x20],
    [0xa0, 0x24f],
    [0x300, 0x36f],
  ],
  ...[
    [0x370, 0x52f],
    [0x590, 0x6ff],
    [0x900, 0x97f],
    [0x2000, 0x206f],
    [0x2100, 0x218f],
    [0x3000, 0x30ff],
  ],
  ...[
    [0x4e00, 0x9fff],
    [0xac00, 0xd7a3],
    [0xff00, 0xffef],
    [0, 0xffff],
    [0x1f300, 0x1f6ff],
    [0x10400, 0x104ff],
  ],
];

/**
 * The chosen texts, and seeded random ones: snippets and characters of many scripts, lone surrogates among them.
 * @param {number} count of random texts
 * @param {number} seed
 * @returns {string[]}
 */
export function texts(count, seed) {
  const random = seededRandom(seed);
  const below = (/** @type {number} */ n) => Math.floor(random() * n);
  const piece = () => {
    if (random() < 0.3) return SNIPPETS[below(SNIPPETS.length)];
    const [first, last] = RANGES[below(RANGES.length)];
    return String.fromCodePoint(first + below(last - first + 1));
  };
  const randomText = () => Array.from({ length: 1 + below(40) }, piece).join('');
  return [...TEXTS, ...Array.from({ length: count }, randomText)];
}
