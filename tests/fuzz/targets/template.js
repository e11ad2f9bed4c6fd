/** Chat templates: well-formed programs that a grammar makes, and broken pieces of them. */
import fc from 'fast-check';

import { renderChat } from '../../../web/chat/chat.js';
import { readGguf } from '../../../web/model/gguf.js';
import { createTokenizer } from '../../../web/tokenizer/tokenizer.js';
import { memorySource, models, TEMPLATE } from '../models.js';
import { worksOrRefuses } from '../oracle.js';

const NAMES = ['a', 'b', 'ns', 'm', 'f', 'loop', 'messages', 'bos_token', 'undefined_name'];
const FILTERS = [
  'trim',
  'length',
  'upper',
  'tojson',
  'first',
  'last',
  'sort',
  'unique',
  'reverse',
  'list',
  'string',
  'int',
  'items',
  'indent',
  'title',
];
const CALLS = [
  "replace('', a)",
  'replace(a, b)',
  'join(a)',
  'indent(n)',
  'tojson(indent=n)',
  'default(a)',
  'sort(attribute=a)',
  'split(a)',
  'int(a)',
];
CALLS.push(
  "selectattr('role', 'equalto', 'user')",
  "map(attribute='content')",
  'tojson(separators=(a, b))',
  'dictsort(by=a)',
  'join(*messages)',
);
const METHODS = [
  'split(a)',
  'split()',
  'replace(a, b)',
  "replace('x', a, n)",
  'strip()',
  'startswith(a)',
  'upper()',
  'items()',
  'get(a)',
  'keys()',
  'a',
  '0',
];

const { program } = fc.letrec((tie) => {
  const number = fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constantFrom(100, 65_536, 1_000_000, 10 ** 12, 0.5, 2 ** 53)).map(String);
  const filled = (/** @type {string[]} */ calls) =>
    fc
      .tuple(fc.constantFrom(...calls), tie('expression'), tie('expression'), number)
      .map(([call, a, b, n]) => call.replace(/\b[abn]\b/g, (name) => String({ a, b, n }[/** @type {'a'} */ (name)])));
  return {
    expression: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom(
        ...NAMES,
        "'x'",
        "'<|im_end|>'",
        "''",
        'none',
        'true',
        'messages[0].content',
        "messages[0]['role']",
        'ns.s',
        "'abc' * 3",
      ),
      number,
      fc
        .tuple(tie('expression'), fc.constantFrom('+', '-', '*', '~', '**', '//', '%', 'in', 'not in', '==', 'and', '<'), tie('expression'))
        .map((p) => `(${p.join(' ')})`),
      fc.tuple(tie('expression'), fc.constantFrom(...FILTERS)).map(([e, f]) => `(${e} | ${f})`),
      fc.tuple(tie('expression'), filled(CALLS)).map(([e, f]) => `(${e} | ${f})`),
      fc.tuple(tie('expression'), filled(METHODS)).map(([e, m]) => `(${e}).${m}`),
      fc.array(tie('expression'), { maxLength: 3 }).map((list) => `[${list.join(', ')}]`),
      fc.tuple(tie('expression'), tie('expression')).map(([k, v]) => `{${k}: ${v}}`),
      fc.tuple(tie('expression'), number, number).map(([e, from, to]) => `(${e})[${from}:${to}]`),
      fc.tuple(tie('expression'), tie('expression')).map(([e, i]) => `(${e})[${i}]`),
      fc.array(fc.oneof(number, tie('expression')), { minLength: 1, maxLength: 3 }).map((list) => `range(${list.join(', ')})`),
      fc
        .tuple(fc.constantFrom('f', 'namespace', 'raise_exception', 'strftime_now', 'caller'), tie('expression'))
        .map(([f, e]) => `${f}(${e})`),
      fc
        .tuple(tie('expression'), fc.constantFrom('defined', 'string', 'none', 'odd', 'mapping', 'iterable', 'nothing'))
        .map(([e, t]) => `(${e} is ${t})`),
      fc.tuple(tie('expression'), tie('expression'), tie('expression')).map(([a, b, c]) => `(${a} if ${b} else ${c})`),
    ),
    statement: fc.oneof(
      { maxDepth: 4 },
      fc.string({ maxLength: 8 }).map((text) => text.replaceAll('{', '')),
      fc.tuple(tie('expression')).map(([e]) => `{{ ${e} }}`),
      fc.tuple(fc.constantFrom('a', 'b', 'ns', 'ns.s', 'a, b'), tie('expression')).map(([n, e]) => `{% set ${n} = ${e} %}`),
      fc.tuple(tie('expression'), tie('program')).map(([e, body]) => `{% for m in ${e} %}${body}{% endfor %}`),
      fc.tuple(tie('expression'), tie('program'), tie('program')).map(([e, x, y]) => `{% if ${e} %}${x}{% else %}${y}{% endif %}`),
      fc.tuple(tie('program')).map(([body]) => `{% macro f(a, b=2) %}${body}{{ f(a) }}{% endmacro %}`),
      fc.tuple(filled(CALLS), tie('program')).map(([f, body]) => `{% filter ${f} %}${body}{% endfilter %}`),
      fc.tuple(tie('program')).map(([body]) => `{% call f(1) %}${body}{% endcall %}`),
      fc.constantFrom(
        '{% break %}',
        '{%- continue -%}',
        '{# note #}',
        "{% set ns = namespace(s='xxxxxxxx') %}",
        '{% set ns.s = ns.s + ns.s %}',
      ),
    ),
    program: fc.array(tie('statement'), { maxLength: 4 }).map((list) => list.join('')),
  };
});

const grown = program.map(
  (body) => `{% set ns = namespace(s='xy') %}{% for i in range(12) %}{% set ns.s = ns.s + ns.s %}{% endfor %}${body}`,
);
const broken = fc
  .tuple(fc.oneof(fc.constant(TEMPLATE), /** @type {fc.Arbitrary<string>} */ (program)), fc.nat(), fc.nat(40), fc.string({ maxLength: 5 }))
  .map(([text, at, length, by]) => text.slice(0, at % (text.length + 1)) + by + text.slice((at % (text.length + 1)) + length));
const content = fc
  .array(fc.constantFrom('hi', '<|im_end|>', '<|im_', 'start|>', '\u0120', '</think>', '\ufdd0', '\n', '{{ x }}'), { maxLength: 6 })
  .map((p) => p.join(''));

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  const { metadata } = await readGguf(memorySource(models[1]));
  const tokenizer = createTokenizer(metadata);
  const control = [1, 2];
  const encode = (/** @type {string} */ template, /** @type {any[]} */ messages) =>
    tokenizer.encode(renderChat({ 'tokenizer.chat_template': template }, tokenizer, messages), { parseSpecial: true });
  return {
    arbitrary: fc.record({ template: fc.oneof(program, grown, broken), contents: fc.array(content, { minLength: 1, maxLength: 3 }) }),
    async run({ template, contents }) {
      const messages = contents.map((/** @type {string} */ text) => ({ role: 'user', content: text }));
      await worksOrRefuses(() => encode(template, messages));
      // Messages never write control tokens, whatever is in them.
      const ids = encode(
        "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{{ m | tojson }}{{ m.content.split('hi') }}{% endfor %}",
        messages,
      );
      if (ids.some((id) => control.includes(id))) throw new Error(`a message became a control token: ${JSON.stringify(contents)}`);
    },
    async good() {
      const ids = encode(TEMPLATE, [{ role: 'user', content: 'the cat' }]);
      if (ids.filter((id) => id === 1).length !== 3) throw new Error(`the template gives ${ids}`);
    },
  };
}
