/**
 * Pre-tokenizers of byte-level BPE vocabularies: how text is cut into words before merging, by `tokenizer.ggml.pre`.
 *
 * The regexes and flags are those of llama.cpp (src/llama-vocab.cpp, src/unicode.cpp), so that a file tokenizes here
 * exactly as it does there. As there, a regex with Unicode categories runs on a text in which every character beyond
 * ASCII is replaced by the letter of its category. One unit per character also keeps the regex engine linear and its
 * backtracking stack small on megabytes of text.
 */
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
const S = '$+<=>^`|\xd5'; // without "~", as in llama.cpp
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

// In the literal text a character beyond the BMP is one lone surrogate: \ud800 for the letters of the scripts with
// case that DEEPSEEK_LETTERS holds, \udc00 for any other. White space is a vertical tab, so \s is spelt out.
const CASED_ASTRAL = /[𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]/u;
const DEEPSEEK_LETTERS =
  '[\\t-\\r ]?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ\ud800]+';
const DEEPSEEK_PUNCTUATION = '[\\t-\\r ]?[!-/:-~！-／：-～‘-‟　-。]+';
const DEEPSEEK_CJK = '[一-龥ࠀ-一가-퟿]+';
const DEEPSEEK3_CJK = '[一-龥぀-ゟ゠-ヿ]+';
const BLOOM = ' ?[^(\\t-\\r |.,!?…。，、।۔،)]+';

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
    regexes: [
      `${CONTRACTION}|[^\\r\\n${L}${N}]?[${L}${M}]+|[${N}]| ?[^\\s${L}${M}${N}]+[\\r\\n]*|${SPACES}`,
    ],
  },
  {
    names: [
      ...['gpt-2', 'phi-2', 'gigachat', 'a.x-4.0', 'mellum', 'exaone4', 'mpt', 'olmo', 'jais', 'trillion'],
      'granite-docling',
    ],
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
    regexes: [
      `'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|${WORD}|[${N}]|${SYMBOLS}|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`,
    ],
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
  const unit = WHITE_SPACE.test(character)
    ? VERTICAL_TAB
    : (CATEGORIES.find(([regex]) => regex.test(character))?.[1] ?? OTHER);
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
  return CASED_ASTRAL.test(String.fromCodePoint(codePoint)) ? 0xd800 : 0xdc00;
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
    let done = 0;
    for (const match of view.slice(start, start + length).matchAll(regex)) {
      if (match.index > done) finer.push(match.index - done);
      finer.push(match[0].length);
      done = match.index + match[0].length;
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
  // eslint-disable-next-line no-control-regex
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
    throw new HalfspaceError('unsupported', `Unknown pre-tokenizer "${name}" (tokenizer.ggml.pre)`, {
      field: 'tokenizer.ggml.pre',
      value: name,
      limit: KINDS.flatMap(({ names }) => names),
    });
  }
  const steps = kind.regexes.map((source) => ({
    regex: new RegExp(source, 'g'),
    literal: /[^\0-\xff]/.test(source), // eslint-disable-line no-control-regex
  }));
  return {
    split: (text) => split(text, steps),
    ignoreMerges: kind.ignoreMerges ?? false,
    addBos: kind.addBos ?? false,
  };
}
