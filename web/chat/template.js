/**
 * Runs a chat template, which is a program out of a stranger's file, within limits of time, steps and memory.
 *
 * The library's interpreter evaluates everything through one method: that counts steps, and measures each value that comes
 * out of it. What can make much of little in one step (replace, join, indent, ...) is looked at before.
 */
import { Environment, Interpreter, parse, Template, tokenize } from '@huggingface/jinja';

import { HalfspaceError } from '../errors.js';

export const FIELD = 'tokenizer.chat_template';

/** A text's size is its UTF-16 units, and of every value, or entry of a list or object, so many more. */
const VALUE_SIZE = 64;

/** Of a letter, while the library has a text as a list of them. */
const LETTER_SIZE = 8;

export const LIMITS = {
  /** UTF-16 units of the template; white space in a row, for which the library takes quadratic time. */
  source: 65_536,
  blank: 1024,
  steps: 1 << 19,
  /** Looked at between steps. Where a clock stands still while code runs, as in edge workers, steps are the limit. */
  ms: 2000,
  /** Of one value, the answer included; levels of lists and objects in each other. */
  size: 1 << 23,
  depth: 64,
  /** Of all values that are made: so much, and for each unit of the messages. */
  made: 1 << 24,
  madePerUnit: 16,
  /** Size of what a method or filter is applied to times its longest argument; of those whose result grows with that. */
  work: 2 ** 28,
  growth: 2 ** 24,
  strftime: 256,
};
const GROWING = ['indent', 'join', 'tojson'];

/**
 * @param {string} what
 * @param {number} value
 * @param {number} limit
 */
const beyond = (what, value, limit) =>
  new HalfspaceError('unsupported', `the chat template goes beyond its limit of ${limit} ${what} (${FIELD})`, {
    field: FIELD,
    value,
    limit,
  });

/**
 * @typedef {{type: string, value: any, builtins: Map<string, Value>, constructor: any}} Value of the library
 * @typedef {{type: string, [part: string]: any}} Node of a template
 */

/** Stands in a template for what was evaluated already. */
class Constant {
  type = 'Constant';

  /** @param {Value} value */
  constructor(value) {
    this.value = value;
  }
}

/** @param {string} text @param {string} part */
function occurrences(text, part) {
  if (part === '') return text.length + 1;
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

class BoundedInterpreter extends Interpreter {
  #steps = 0;
  #made = 0;
  #mostMade;
  #until = performance.now() + LIMITS.ms;
  /** Size and depth of values that do not change. @type {WeakMap<Value, {size: number, depth: number}>} */
  #known = new WeakMap();

  /** @param {Environment} environment @param {number} units of the messages */
  constructor(environment, units) {
    super(environment);
    this.#mostMade = LIMITS.made + LIMITS.madePerUnit * units;
  }

  /**
   * @param {any} node
   * @param {Environment} environment
   * @returns {any}
   */
  evaluate(node, environment) {
    if (node instanceof Constant) return node.value;
    if (++this.#steps > LIMITS.steps) throw beyond('steps', this.#steps, LIMITS.steps);
    if (performance.now() > this.#until) throw beyond('milliseconds', LIMITS.ms, LIMITS.ms);
    const value = this.#run(node, environment);
    if (value) this.#measure(value);
    return value;
  }

  /** @param {Node | undefined} node @param {Environment} environment @returns {any} */
  #run(node, environment) {
    switch (node?.type) {
      case 'FilterStatement':
        return this.#filter({ operand: { type: 'Program', body: node.body }, filter: node.filter }, environment);
      case 'FilterExpression':
        return this.#filter(node, environment);
      case 'MemberExpression':
        return this.#member(node, environment);
      case 'BinaryExpression':
        return this.#binary(node, environment);
      default:
        return super.evaluate(/** @type {any} */ (node), environment);
    }
  }

  /** @param {Partial<Node>} node @param {Environment} environment */
  #filter({ operand, filter }, environment) {
    const value = this.evaluate(operand, environment);
    const args = filter.type === 'CallExpression' ? filter.args.map((/** @type {Node} */ arg) => this.#settled(arg, environment)) : [];
    if (filter.type === 'CallExpression') this.#check(filter.callee.value, value, args.map(given));
    const settled = { type: 'FilterExpression', operand: new Constant(value), filter: { ...filter, args } };
    return super.evaluate(/** @type {any} */ (settled), environment);
  }

  /** An argument with its value in it. @param {Node} arg @param {Environment} environment @returns {Node} */
  #settled(arg, environment) {
    const settle = (/** @type {Node} */ node) => new Constant(this.evaluate(node, environment));
    if (arg.type === 'StringLiteral') return arg; // some filters take these alone
    if (arg.type === 'KeywordArgumentExpression') return { ...arg, value: settle(arg.value) };
    if (arg.type.endsWith('SpreadExpression')) return { ...arg, argument: settle(arg.argument) };
    return settle(arg);
  }

  /** Methods of texts look at their arguments first. @param {Node} node @param {Environment} environment */
  #member(node, environment) {
    const object = this.evaluate(node.object, environment);
    if (node.property.type === 'SliceExpression') this.#check('slice', object, []);
    const value = super.evaluate(/** @type {any} */ ({ ...node, object: new Constant(object) }), environment);
    if (value.type !== 'FunctionValue' || object.type !== 'StringValue') return value;
    const [name] = /** @type {[string, Value]} */ ([...object.builtins].find(([, method]) => method === value));
    return new value.constructor((/** @type {Value[]} */ args, /** @type {Environment} */ scope) => {
      this.#check(name, object, args);
      return value.value(args, scope);
    });
  }

  /** @param {Node} node @param {Environment} environment */
  #binary(node, environment) {
    if (!['in', 'not in'].includes(node.operator.value)) return super.evaluate(/** @type {any} */ (node), environment);
    const [left, right] = [node.left, node.right].map((side) => this.evaluate(side, environment));
    if (left?.type === 'StringValue' && right?.type === 'StringValue') this.#check('in', right, [left]);
    return super.evaluate(/** @type {any} */ ({ ...node, left: new Constant(left), right: new Constant(right) }), environment);
  }

  /** @param {string} name of a method or filter @param {Value | undefined} operand @param {Value[]} args */
  #check(name, operand, args) {
    if (!operand) return;
    const { size } = this.#measure(operand);
    const work = size * args.reduce((most, arg) => Math.max(most, this.#length(arg)), 1);
    const limit = GROWING.includes(name) ? LIMITS.growth : LIMITS.work;
    if (!(work <= limit)) throw beyond(`units of work in ${name}`, work, limit);
    if (operand.type !== 'StringValue') return;
    const [first, second] = args.map((arg) => (arg?.type === 'StringValue' ? arg.value : ''));
    let grown = 0;
    if (name === 'replace') grown = occurrences(operand.value, first ?? '') * (second ?? '').length;
    if (['slice', 'join'].includes(name)) grown = LETTER_SIZE * operand.value.length;
    if (name === 'split') grown = VALUE_SIZE * (first ? occurrences(operand.value, first) : (operand.value.match(/\S+/g) ?? []).length);
    if (grown > LIMITS.size) throw beyond(`units that ${name} makes`, grown, LIMITS.size);
  }

  /** @param {Value | undefined} arg @returns {number} */
  #length(arg) {
    if (typeof arg?.value === 'number') return Math.abs(arg.value);
    if (arg?.type === 'StringValue') return arg.value.length;
    return arg ? this.#measure(arg).size : 1;
  }

  /**
   * @param {Value} value
   * @returns {{size: number, depth: number}}
   */
  #measure(value) {
    const known = this.#known.get(value);
    if (known) return known;
    const parts = partsOf(value);
    let own = VALUE_SIZE + (value.type === 'StringValue' ? value.value.length : 0);
    let [size, depth] = [0, 0];
    for (const [key, part] of parts) {
      if (part.type === 'NamespaceValue')
        throw new HalfspaceError('unsupported', `the chat template has a namespace inside of something (${FIELD})`, { field: FIELD });
      own += key.length;
      const inner = this.#measure(part);
      size += inner.size;
      depth = Math.max(depth, inner.depth + 1);
    }
    size += own;
    this.#made += own;
    if (size > LIMITS.size) throw beyond('units of one value', size, LIMITS.size);
    if (depth > LIMITS.depth) throw beyond('levels of lists', depth, LIMITS.depth);
    if (this.#made > this.#mostMade) throw beyond('units of all values', this.#made, this.#mostMade);
    // A namespace changes; it is the one that nothing else can hold.
    if (value.type !== 'NamespaceValue') this.#known.set(value, { size, depth });
    return { size, depth };
  }
}

/** What a list or an object holds, with its keys. @param {Value} value @returns {Iterable<[string, Value]>} */
function* partsOf({ value }) {
  if (value instanceof Map) yield* value;
  else if (Array.isArray(value)) for (const part of value) yield ['', part];
}

/** The value of an argument that is settled. @param {Node} arg @returns {Value} */
function given(arg) {
  if (arg.type === 'StringLiteral') return /** @type {any} */ ({ ...arg, type: 'StringValue' });
  if (arg instanceof Constant) return arg.value;
  return (arg.type === 'KeywordArgumentExpression' ? arg.value : arg.argument).value;
}

/** As Python's: the library's own runs forever on some numbers. @param {number[]} args */
function range(...args) {
  const [start, stop, step = 1] = args.length === 1 ? [0, args[0]] : args;
  if (![start, stop, step].every(Number.isSafeInteger) || step === 0) throw new Error('range() takes integers, and a step that is not 0');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length * VALUE_SIZE > LIMITS.size) throw beyond('entries of a range', length, LIMITS.size / VALUE_SIZE);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** @param {string} text */
function raiseException(text) {
  throw new Error(text);
}

/** The library's, which it gives to templates alone. @param {unknown} format */
function strftimeNow(format) {
  const text = String(format);
  if (text.length > LIMITS.strftime) throw beyond('units of a format', text.length, LIMITS.strftime);
  return new Template('{{ strftime_now(format) }}').render({ format: text });
}

/**
 * @param {string} source
 * @throws {HalfspaceError} unsupported: beyond a limit
 * @throws {Error} it is no template
 */
export function parseTemplate(source) {
  if (source.length > LIMITS.source) throw beyond('UTF-16 units', source.length, LIMITS.source);
  if (new RegExp(`\\s{${LIMITS.blank + 1}}`).test(source)) throw beyond('units of white space in a row', LIMITS.blank + 1, LIMITS.blank);
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
}

/**
 * @param {ReturnType<typeof parseTemplate>} program
 * @param {Record<string, unknown>} variables
 * @param {number} units of the texts in them
 * @returns {string}
 * @throws {HalfspaceError} unsupported: beyond a limit
 * @throws {Error} what the template raises, or does wrong
 */
export function runTemplate(program, variables, units) {
  const environment = new Environment();
  const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
  const functions = { range, raise_exception: raiseException, strftime_now: strftimeNow };
  for (const [name, value] of Object.entries({ ...constants, ...functions, ...variables })) environment.set(name, value);
  return new BoundedInterpreter(environment, units).evaluate(program, environment).value;
}
