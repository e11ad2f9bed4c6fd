/** What the package exports, as TypeDoc understood it, and which of it says too little. */
import { ReflectionKind } from 'typedoc';

/** Functions that have no error to name, and why. */
export const NEVER_FAIL = {
  commonLength: 'compares numbers',
  'Engine.close': 'what is closed stays closed',
  'Handle.free': 'what is freed stays freed',
  'Prefix.free': 'what is freed stays freed',
  HalfspaceError: 'makes an error',
  ChunkError: 'makes an error',
};

const { Accessor, Class, Constructor, Function, Interface, Method, Property } = ReflectionKind;

/** @param {any} comment @returns {string} */
const textOf = (comment) =>
  (comment?.summary ?? [])
    .map((/** @type {{text: string}} */ part) => part.text)
    .join('')
    .trim();

/** Errors that a function names: `@throws {HalfspaceError} bad-argument: ...`. @param {any} comment @returns {string} */
const errorsOf = (comment) =>
  (comment?.blockTags ?? [])
    .filter((/** @type {any} */ { tag }) => tag === '@throws')
    .flatMap((/** @type {any} */ { content }) => content.map((/** @type {{text: string}} */ part) => part.text))
    .join(' ');

/** @param {string} word @param {string} text */
const isNamed = (word, text) => new RegExp(`(?<![\\w-])${word}(?![\\w-])`).test(text);

/** Names of an object that a parameter's type spells out. @param {any} type @returns {any[]} */
const spelledOut = (type) => {
  if (type?.type === 'reflection') return type.declaration.children ?? [];
  if (type?.type === 'intersection' || type?.type === 'union') return type.types.flatMap(spelledOut);
  return [];
};

/**
 * @param {any} signature
 * @param {string} name of the function, with its class
 * @param {string[]} codes of HalfspaceError
 */
function lacks(signature, name, codes) {
  const { comment, parameters = [] } = signature;
  const problems = [];
  if (textOf(comment) === '') problems.push('what it does');
  for (const parameter of parameters) {
    const text = textOf(parameter.comment);
    if (text === '') problems.push(`what ${parameter.name} is`);
    for (const part of spelledOut(parameter.type))
      if (textOf(part.comment) === '' && !isNamed(part.name, `${text} ${textOf(comment)}`))
        problems.push(`what ${part.name} of ${parameter.name} is`);
  }
  const errors = errorsOf(comment);
  if (!(name in NEVER_FAIL) && !codes.some((code) => isNamed(code, errors)) && !/what \S+\(\) throws/.test(errors))
    problems.push('which errors it throws');
  return problems.map((what) => `${name} does not say ${what}`);
}

/**
 * What a documented thing lacks.
 * @param {any} node of TypeDoc's JSON
 * @param {string[]} codes
 * @param {string} [owner]
 * @returns {string[]}
 */
function ofNode(node, codes, owner) {
  // What a class inherits is looked at where it is declared.
  if (node.inheritedFrom) return [];
  const name = owner ? `${owner}.${node.name}` : node.name;
  const missing = () => (textOf(node.comment) === '' ? [`${name} does not say what it is`] : []);
  switch (node.kind) {
    case Class:
    case Interface:
      return [...missing(), ...node.children.flatMap((/** @type {any} */ child) => ofNode(child, codes, node.name))];
    case Function:
    case Method:
      return node.signatures.flatMap((/** @type {any} */ signature) => lacks(signature, name, codes));
    case Constructor:
      return node.signatures.flatMap((/** @type {any} */ signature) => lacks(signature, String(owner), codes));
    case Accessor:
      return textOf(node.getSignature?.comment) === '' ? [`${name} does not say what it is`] : [];
    case Property:
      return missing();
    default:
      return node.kind === ReflectionKind.Variable ? variable(node, codes) : [];
  }
}

/** An object with methods, such as the page's Engine. @param {any} node @param {string[]} codes */
const variable = (node, codes) =>
  spelledOut(node.type).flatMap((child) => (child.signatures ? ofNode({ ...child, kind: Method }, codes, node.name) : []));

/** Shapes that only show inside of others, where callers meet none of their fields. */
const INSIDE = [
  'Backend',
  'Draft',
  'FileHandle',
  'FileSystem',
  'GgufFile',
  'GgufTensor',
  'Layout',
  'Message',
  'Outgoing',
  'TextStream',
  'Tokenizer',
  'Vectors',
  'WorkerHandle',
];

/**
 * @param {any} project TypeDoc's JSON
 * @param {string[]} codes of HalfspaceError
 * @returns {string[]}
 */
export const undocumentedJs = (project, codes) =>
  project.children.flatMap((/** @type {any} */ module) =>
    module.children
      .filter((/** @type {any} */ node) => !INSIDE.includes(node.name))
      .flatMap((/** @type {any} */ node) => ofNode(node, codes).map((problem) => `${module.name}: ${problem}`)),
  );

/** Every part of a project that has signatures. @param {any} node @returns {any[]} */
export const signaturesOf = (node) => [...(node.signatures ?? []), ...(node.children ?? []).flatMap(signaturesOf)];
