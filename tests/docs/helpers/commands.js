/** Commands that documents name: in blocks, in inline code, and in comments that say who writes a table. */
import { parse } from 'acorn';
import { parse as parseShell } from 'shell-quote';

/** What a line that is a command begins with. */
const PROGRAMS =
  'make node npx npm halfspace sh cp mv mkdir cd curl gzip head cut wc cat git printf echo clang-19 clang-format-19 valgrind'.split(' ');
/** Commands of `halfspace` that documents name without it. */
const FAMILIES = ['bench', 'snapshot'];
const ASSIGNMENT = /^([A-Z]+)=(.*)$/s;

/**
 * @typedef {object} Named
 * @property {string[]} words the program first
 * @property {string} text as it stands there
 */

/** @param {string} text */
function isModule(text) {
  try {
    parse(text, { ecmaVersion: 'latest', sourceType: 'module', allowAwaitOutsideFunction: true });
    return true;
  } catch {
    return false;
  }
}

/** Lines of commands; one that ends with a backslash goes on. @param {string} text */
const linesOf = (text) =>
  text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

/** @param {string} line */
const isCommand = (line) => PROGRAMS.includes(line.split(/\s/)[0]) || /^(?:\$[A-Z]+\b|[A-Z]+=)/.test(line);

/**
 * What an unlabelled block is.
 * @param {import('./markdown.js').Block} block
 * @returns {'sh' | 'js' | 'other'}
 */
export function kindOf({ lang, text }) {
  if (['sh', 'bash', 'shell', 'console'].includes(lang)) return 'sh';
  if (['js', 'javascript', 'mjs'].includes(lang)) return 'js';
  if (lang !== '') return 'other';
  const lines = linesOf(text);
  if (lines.length > 0 && lines.every(isCommand)) return 'sh';
  return isModule(text) ? 'js' : 'other';
}

/** Commands in the order of a document, with the variables that it has given values until then. */
class Reader {
  /** @type {Map<string, string>} */
  #values = new Map();
  /** @type {Named[]} */
  commands = [];

  /** @param {string} line of a block, or inline code */
  take(line) {
    const [, name, quoted] = ASSIGNMENT.exec(line) ?? [];
    if (name && !/\s/.test(quoted.replaceAll(/"[^"]*"|\$\([^)]*\)/g, ''))) {
      this.#values.set(name, this.#evaluate(quoted.replace(/^"(.*)"$/, '$1')));
      return;
    }
    this.#split(this.#evaluate(line), line);
  }

  /** Values in the place of names; what stands inside $(...) is a command of its own, and a path here. @param {string} text */
  #evaluate(text) {
    const inner = text.replaceAll(/\$\(([^()]*)\)/g, (_, command) => {
      this.take(command);
      return 'OUTPUT';
    });
    return inner.replaceAll(/"?\$([A-Z]+)"?(?![A-Za-z])/g, (all, name) => this.#values.get(name) ?? all);
  }

  /** @param {string} line @param {string} text */
  #split(line, text) {
    /** @type {string[]} */
    let words = [];
    const end = () => {
      while (words.length > 0 && /^[A-Z_]+=/.test(words[0])) words.shift();
      if (words.length > 0) this.commands.push({ words, text });
      words = [];
    };
    // Quoted shell words, operators between commands, comments.
    for (const token of parseShell(line.replaceAll('$', '\\$'))) {
      if (typeof token === 'string') words.push(token);
      else if ('pattern' in token) words.push(token.pattern);
      else if ('op' in token) end();
    }
    end();
  }
}

/** `halfspace pull | serve | bench` is three commands. @param {string} text @returns {string[]} */
function alternatives(text) {
  const [first, ...others] = text.split(' | ');
  const names = first.split(' ');
  if (!['halfspace', ...FAMILIES].includes(names[0]) || others.length === 0 || others.some((other) => /\s/.test(other))) return [text];
  return [first, ...others.map((other) => [...names.slice(0, -1), other].join(' '))];
}

/** Inline code that is a command, or gives a value to a name. @param {string} text */
function isSpanCommand(text) {
  const [first, second] = text.split(' ');
  if (ASSIGNMENT.test(text)) return /^[A-Z]="/.test(text);
  return second !== undefined && (isCommand(text) || FAMILIES.includes(first));
}

/**
 * @param {import('./markdown.js').Part[]} parts
 * @returns {Named[]}
 */
export function commandsOf(parts) {
  const reader = new Reader();
  for (const part of parts) {
    const text = part.text;
    if (part.kind === 'block') {
      if (kindOf(part) === 'sh') for (const line of linesOf(text)) reader.take(line);
    } else if (part.kind === 'span') {
      if (isSpanCommand(text)) for (const one of alternatives(text)) reader.take(one);
    } else {
      for (const [command] of text.matchAll(/\bmake [a-z][a-z-]*/g)) reader.take(command);
    }
  }
  // A family's commands are those of `halfspace`.
  return reader.commands.map(({ words, text }) => ({ words: FAMILIES.includes(words[0]) ? ['halfspace', ...words] : words, text }));
}

/** Options of commands that stand alone in inline code. @param {import('./markdown.js').Part[]} parts @returns {string[]} */
export const optionsOf = (parts) =>
  parts.flatMap((part) => (part.kind === 'span' ? Array.from(part.text.matchAll(/^--[a-z][\w-]*/g), ([option]) => option) : []));
