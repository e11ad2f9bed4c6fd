// Prints what the tests cover of src/ and web/, by folder, and fails where that is less than is asked. `make coverage`.
//   node tests/coverage/report.js <folder of V8's files> <exports of llvm-cov...> [--missed]
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { coverageOfC } from './c.js';
import { coverageOfJs } from './js.js';

/**
 * @typedef {{ total: number, covered: number, missed: string[] }} Tally
 * @typedef {{ lines: Tally, branches: Tally }} FileCoverage
 */

const root = join(import.meta.dirname, '../..');
const BRANCHES_AT_LEAST = 90;
const TOPS = ['src', 'web'];

// What reads bytes or text of strangers: every branch.
const PARSERS = [
  'src/base/checksum.c',
  'src/kv/record.c',
  'src/model/config.c',
  'src/quant/ggml.c',
  'src/quant/tensor.c',
  'web/chat/chat.js',
  'web/model/config.js',
  'web/model/gguf.js',
  'web/server/request.js',
  'web/snapshot/format.js',
  'web/snapshot/inspect.js',
  'web/snapshot/pieces.js',
  'web/snapshot/reader.js',
];

const percent = ({ covered, total }) => (total === 0 ? 100 : (100 * covered) / total);
const sum = (tallies) => tallies.reduce((a, b) => ({ total: a.total + b.total, covered: a.covered + b.covered }), { total: 0, covered: 0 });
const cell = (tally) => `${tally.covered}/${tally.total}`.padStart(12) + `${percent(tally).toFixed(1)} %`.padStart(9);

/** @param {string} name @param {FileCoverage[]} files */
function row(name, files) {
  console.log(`${name.padEnd(28)}${cell(sum(files.map((file) => file.lines)))}${cell(sum(files.map((file) => file.branches)))}`);
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { missed: { type: 'boolean' } } });
const [folder, ...exports] = positionals;
// web/package/ builds the package and is never in it.
const modules = execFileSync('git', ['ls-files', 'web/**.js', ':!web/package'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
const files = new Map([...coverageOfC(exports, root), ...(await coverageOfJs(folder, modules, root))]);
const names = [...files.keys()].filter((name) => TOPS.includes(name.split('/')[0])).sort();

console.log(`${''.padEnd(28)}${'lines'.padStart(21)}${'branches'.padStart(21)}`);
const failures = [];
for (const top of TOPS) {
  const own = names.filter((name) => name.startsWith(`${top}/`));
  for (const folderName of [...new Set(own.map((name) => dirname(name)))])
    row(
      folderName,
      own.filter((name) => dirname(name) === folderName).map((name) => files.get(name)),
    );
  const all = own.map((name) => files.get(name));
  row(`${top}, all`, all);
  const share = percent(sum(all.map((file) => file.branches)));
  if (share < BRANCHES_AT_LEAST) failures.push(`${top}: ${share.toFixed(1)} % of branches, of ${BRANCHES_AT_LEAST}`);
}
console.log('parsers');
for (const name of PARSERS) {
  const file = files.get(name);
  row(`  ${name}`, [file]);
  if (file.branches.missed.length > 0) failures.push(`${name}: no test takes ${file.branches.missed.join(', ')}`);
}
if (values.missed) {
  for (const name of names)
    if (files.get(name).branches.missed.length > 0) console.log(`${name}: ${files.get(name).branches.missed.join(', ')}`);
}
for (const failure of failures) console.error(failure);
process.exit(failures.length > 0 ? 1 : 0);
