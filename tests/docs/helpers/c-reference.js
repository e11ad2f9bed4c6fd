/** The C headers as Doxygen understood them, and which of their functions say too little. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { XMLParser } from 'fast-xml-parser';

/**
 * @typedef {object} CFunction
 * @property {string} name
 * @property {string} file path from the root
 * @property {string} text its comment; '' where there is none
 * @property {{name: string, type: string}[]} parameters
 */

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  isArray: (name) => ['sectiondef', 'memberdef', 'param', 'para'].includes(name),
});

/** All text inside a part of the document. @param {any} node @returns {string} */
const textOf = (node) =>
  typeof node === 'string'
    ? node
    : Object.entries(node ?? {})
        .filter(([name]) => !name.startsWith('@'))
        .flatMap(([, value]) => (Array.isArray(value) ? value : [value]))
        .map(textOf)
        .join(' ')
        .trim();

/**
 * @param {string} folder with Doxygen's XML
 * @returns {Promise<CFunction[]>}
 */
export async function cFunctions(folder) {
  const functions = [];
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('_8h.xml'))) {
    const { compounddef } = parser.parse(await readFile(join(folder, name), 'utf8')).doxygen;
    for (const { memberdef = [] } of compounddef.sectiondef ?? []) {
      for (const member of memberdef.filter((/** @type {any} */ one) => one['@kind'] === 'function')) {
        functions.push({
          name: member.name,
          file: member.location['@file'],
          text: textOf(member.detaileddescription),
          parameters: (member.param ?? [])
            .map((/** @type {any} */ param) => ({ name: textOf(param.declname), type: textOf(param.type) }))
            .filter((/** @type {{name: string}} */ param) => param.name !== ''),
        });
      }
    }
  }
  return functions;
}

/**
 * The names that the head of src/base/hs.h explains: a list, then at least two blanks, then what they are.
 * @param {string} header
 */
export const conventions = (header) =>
  Array.from(header.slice(0, header.indexOf('*/')).matchAll(/^ \* {3}(\w+(?:, \w+)*) {2,}\S/gm), ([, names]) => names.split(', ')).flat();

/** A pointer to a structure of ours says what it points to. @param {string} type */
const speaksForItself = (type) => /\bhs_\w+/.test(type);

/** @param {string} word @param {string} text */
const isNamed = (word, text) => new RegExp(`(?<![A-Za-z0-9_])${word}(?![A-Za-z0-9_])`).test(text);

/**
 * What each function lacks: a comment, or in it a parameter.
 * @param {CFunction[]} functions
 * @param {string[]} known names that src/base/hs.h explains, once for all
 * @returns {string[]}
 */
export const undocumentedC = (functions, known) =>
  functions.flatMap(({ name, file, text, parameters }) => {
    if (text === '') return [`${file}: ${name}() has no comment`];
    return parameters
      .filter((parameter) => !speaksForItself(parameter.type) && !known.includes(parameter.name) && !isNamed(parameter.name, text))
      .map((parameter) => `${file}: ${name}() does not say what ${parameter.name} is`);
  });
