/**
 * Pre-tokenizers of byte-level BPE vocabularies: how text is cut into words before merging, by `tokenizer.ggml.pre`.
 *
 * The regexes and flags are those of llama.cpp (src/llama-vocab.cpp, src/unicode.cpp), so that a file tokenizes here
 * exactly as it does there. As there, a regex with Unicode categories runs on a text in which every character beyond
 * ASCII is replaced by the letter of its category. One unit per character also keeps the regex engine linear and its
 * backtracking stack small on megabytes of text.
 */
import { shown } from '../checks.js';
import { HalfspaceError } from '../errors.js';

/**
 * @typedef {object} Step
 * @property {RegExp} regex every match becomes a word, and so does every gap between matches
 * @property {boolean} literal the regex names characters beyond ASCII, so it runs on the text itself, not on categories
 */

/**
 * @typedef {object} PreTokenizer
 * @property {(text: string) => string[]} split cuts well-formed text into words
 * @property {boolean} ignoreMerges a word that is itself a token is taken whole
 * @property {boolean} addBos whether BOS is added when the file does not say
 */

// Categories as they stand inside a character class: their ASCII members, and the unit that replaces all others.
const N = '0-9\xd1';
const L = 'A-Za-z\xd2';
const P = '!-#%-*,-/:-;?-@\\[-\\]_{}\xd3';
const M = '\xd4';
const S = '$+<=>^`|~\xd5';
const UPPER = 'A-Z\xd2';
const LOWER = 'a-z\xd2';
/** @type {[RegExp, number][]} */
const CATEGORIES = [
  [/\p{N}/u, 0xd1],
  [/\p{L}/u, 0xd2],
  [/\p{P}/u, 0xd3],
  [/\p{M}/u, 0xd4],
  [/\p{S}/u, 0xd5],
];
const OTHER = 0xd0;
const VERTICAL_TAB = 0x0b; // stands for every white space beyond ASCII
const WHITE_SPACE = /\p{White_Space}/u;

const CONTRACTION = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const WORD = `[^\\r\\n${L}${N}]?[${L}]+`;
const SYMBOLS = ` ?[^\\s${L}${N}]+[\\r\\n]*`;
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const PUNCTUATED = `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n${L}${P}${S}]?[${L}${M}]+| ?[${P}${S}]+[\\r\\n]*|${SPACES}`;
const CASED_WORD = (/** @type {string} */ suffix) =>
  `[^\\r\\n${L}${N}]?[${UPPER}]*[${LOWER}]+${suffix}|[^\\r\\n${L}${N}]?[${UPPER}]+[${LOWER}]*${suffix}`;

const GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?[${L}]+| ?[${N}]+| ?[^\\s${L}${N}]+|\\s+(?!\\S)|\\s+`;
const LLAMA3 = `${CONTRACTION}|${WORD}|[${N}]{1,3}|${SYMBOLS}|${SPACES}`;
const QWEN2 = `${CONTRACTION}|${WORD}|[${N}]|${SYMBOLS}|${SPACES}`;

// The letters of the scripts with case, as llama.cpp lists them, in escapes because normalizing editors would change some.
const CASED_LETTERS = [
  'A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373',
  '\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481',
  '\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b',
  '\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b',
  '\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb',
  '\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128',
  '\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4',
  '\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf',
  '\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a',
].join('');
const CASED_ASTRAL_LETTER =
  /[\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]/u;
// In the literal text a character beyond the BMP is one lone surrogate, which of two says whether it is such a letter;
// white space beyond ASCII is a vertical tab, so \s is spelt out.
const CASED_ASTRAL_UNIT = 0xd800;
const OTHER_ASTRAL_UNIT = 0xdc00;
const DEEPSEEK_LETTERS = `[\\t-\\r ]?[${CASED_LETTERS}\ud800]+`;
const DEEPSEEK_PUNCTUATION = '[\\t-\\r ]?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3001\u3002]+';
const DEEPSEEK_CJK = '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+';
const DEEPSEEK3_CJK = '[\u4e00-\u9fa5\u3040-\u30ff]+';
const BLOOM = ' ?[^(\\t-\\r |.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+';

/**
 * @typedef {object} Kind
 * @property {string[]} names values of `tokenizer.ggml.pre`
 * @property {string[]} regexes applied in turn, each to the words the one before it left
 * @property {boolean} [ignoreMerges]
 * @property {boolean} [addBos]
 */

/** @type {Kind[]} */
const KINDS = [
  {
    names: ['llama3', 'llama-v3', 'llama-bpe', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'],
    regexes: [LLAMA3],
    ignoreMerges: true,
    addBos: true,
  },
  { names: ['dbrx', 'smaug-bpe', 'glm4', 'chatglm-bpe'], regexes: [LLAMA3] },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'kormo', 'f2llmv2', 'megrez', 'stablelm2', 'hunyuan', 'solar-open', 'grok-2'],
    regexes: [QWEN2],
  },
  {
    names: ['qwen35'],
    regexes: [`${CONTRACTION}|[^\\r\\n${L}${N}]?[${L}${M}]+|[${N}]| ?[^\\s${L}${M}${N}]+[\\r\\n]*|${SPACES}`],
  },
  {
    names: [...['gpt-2', 'phi-2', 'gigachat', 'a.x-4.0', 'mellum', 'exaone4', 'mpt', 'olmo', 'jais', 'trillion'], 'granite-docling'],
    regexes: [GPT2],
  },
  {
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'],
    regexes: [`[${N}]`, GPT2],
  },
  { names: ['default'], regexes: [`[${P}$+<=>^~|]+`, GPT2, `[${N}]+`, '[0-9][0-9][0-9]'] },
  { names: ['falcon'], regexes: [`[${P}$+<=>^~|\`]+`, GPT2, '[0-9][0-9][0-9]'] },
  {
    names: ['deepseek-llm'],
    regexes: ['[\\r\\n]', DEEPSEEK_LETTERS, DEEPSEEK_PUNCTUATION, '\\s+$', DEEPSEEK_CJK, `[${N}]+`],
  },
  {
    names: ['deepseek-coder'],
    regexes: ['[\\r\\n]', `\\s?[${L}]+`, `\\s?[${P}]+`, DEEPSEEK_CJK, `[${N}]`],
  },
  {
    names: ['deepseek-v3', 'hunyuan-dense', 'joyai-llm'],
    regexes: [`[${N}]{1,3}`, DEEPSEEK3_CJK, PUNCTUATED],
  },
  {
    names: ['tekken'],
    regexes: [`${CASED_WORD('')}|[${N}]| ?[^\\s${L}${N}]+[\\r\\n/]*|${SPACES}`],
    ignoreMerges: true,
    addBos: true,
  },
  {
    names: ['gpt-4o', 'llama4', 'kanana2', 'talkie', 'minimax-m2'],
    regexes: [`${CASED_WORD(`${CONTRACTION}?`)}|[${N}]{1,3}| ?[^\\s${L}${N}]+[\\r\\n/]*|${SPACES}`],
  },
  {
    names: ['bailingmoe', 'bailingmoe2', 'llada-moe'],
    regexes: [`'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|${WORD}|[${N}]|${SYMBOLS}|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`],
  },
  {
    names: ['seed-coder'],
    regexes: [`${CONTRACTION}|${WORD}|[${N}]| ?[^\\s${L}${N}\\r\\n]+|${SPACES}`],
  },
  { names: ['poro-chat', 'bloom', 'gpt3-finnish'], regexes: [BLOOM] },
  { names: ['viking'], regexes: [BLOOM, `[${N}]`] },
];

/** Category unit of every code point met so far; 0 = not met. */
const categoryOf = new Uint8Array(0x110000);

/** @param {number} codePoint beyond ASCII */
function category(codePoint) {
  const known = categoryOf[codePoint];
  if (known) return known;
  const character = String.fromCodePoint(codePoint);
  const unit = WHITE_SPACE.test(character) ? VERTICAL_TAB : (CATEGORIES.find(([regex]) => regex.test(character))?.[1] ?? OTHER);
  categoryOf[codePoint] = unit;
  return unit;
}

/** @param {Uint16Array} units */
function stringOfUnits(units) {
  const CHUNK = 0x2000; // below every engine's limit on the number of arguments
  let text = '';
  for (let i = 0; i < units.length; i += CHUNK) text += String.fromCharCode(...units.subarray(i, i + CHUNK));
  return text;
}

/**
 * Rewrites text to one UTF-16 unit per code point.
 * @param {string} text well-formed
 * @param {(codePoint: number) => number} unitOf unit of a code point beyond ASCII
 */
function oneUnitPerCodePoint(text, unitOf) {
  const units = new Uint16Array(text.length);
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    const codePoint = /** @type {number} */ (text.codePointAt(i));
    if (codePoint > 0xffff) i++;
    units[n++] = codePoint < 128 ? codePoint : unitOf(codePoint);
  }
  return stringOfUnits(units.subarray(0, n));
}

/** @param {number} codePoint beyond ASCII */
function literalUnit(codePoint) {
  if (category(codePoint) === VERTICAL_TAB) return VERTICAL_TAB;
  if (codePoint <= 0xffff) return codePoint;
  return CASED_ASTRAL_LETTER.test(String.fromCodePoint(codePoint)) ? CASED_ASTRAL_UNIT : OTHER_ASTRAL_UNIT;
}

/**
 * Applies one regex to every span.
 * @param {number[]} lengths of the spans, in code points
 * @param {string} view one unit per code point
 * @param {RegExp} regex
 * @returns {number[]} lengths of the finer spans
 */
function refine(lengths, view, regex) {
  /** @type {number[]} */
  const finer = [];
  let start = 0;
  for (const length of lengths) {
    const span = view.slice(start, start + length); // so that look-ahead ends with it
    let done = 0;
    regex.lastIndex = 0;
    for (let match = regex.exec(span); match; match = regex.exec(span)) {
      if (match.index > done) finer.push(match.index - done);
      finer.push(match[0].length);
      done = regex.lastIndex;
    }
    if (done < length) finer.push(length - done);
    start += length;
  }
  return finer;
}

/**
 * @param {string} text well-formed
 * @param {Step[]} steps
 * @returns {string[]}
 */
function split(text, steps) {
  const ascii = /^[\0-\x7f]*$/.test(text);
  const categories = ascii ? text : oneUnitPerCodePoint(text, category);
  const literal = ascii || !steps.some((step) => step.literal) ? text : oneUnitPerCodePoint(text, literalUnit);
  let lengths = [categories.length];
  for (const step of steps) lengths = refine(lengths, step.literal ? literal : categories, step.regex);

  const astral = categories.length !== text.length;
  /** @type {string[]} */
  const words = [];
  let start = 0;
  for (const length of lengths) {
    let end = start + length;
    if (astral) {
      end = start;
      for (let i = 0; i < length; i++) end += /** @type {number} */ (text.codePointAt(end)) > 0xffff ? 2 : 1;
    }
    words.push(text.slice(start, end));
    start = end;
  }
  return words;
}

/**
 * @param {string} name value of `tokenizer.ggml.pre`
 * @returns {PreTokenizer}
 * @throws {HalfspaceError} 'unsupported' for a name not known here
 */
export function createPreTokenizer(name) {
  const kind = KINDS.find(({ names }) => names.includes(name));
  if (!kind) {
    throw new HalfspaceError('unsupported', `Unknown pre-tokenizer "${shown(name)}" (tokenizer.ggml.pre)`, {
      field: 'tokenizer.ggml.pre',
      value: name,
      limit: KINDS.flatMap(({ names }) => names),
    });
  }
  const steps = kind.regexes.map((source) => ({
    regex: new RegExp(source, 'g'),
    literal: /[^\0-\xff]/.test(source),
  }));
  return {
    split: (text) => split(text, steps),
    ignoreMerges: kind.ignoreMerges ?? false,
    addBos: kind.addBos ?? false,
  };
}
