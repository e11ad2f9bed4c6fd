/**
 * Every command in the documents is run by something: here in a small form, by another test, or by CI (.ci/run). Flags, targets of make,
 * scripts and their variables exist. The tables are in helpers/runs.js; tutorials.test.js follows docs/tutorials line by line.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { program } from '../../web/cli.js';
import { randomModel } from '../node/helpers/random-model.js';
import { chatModel } from '../node/helpers/serving.js';
import { commandsOf, optionsOf } from './helpers/commands.js';
import { closure, OUTSIDE, readMakefile } from './helpers/makefile.js';
import { parseMarkdown, readMarkdown } from './helpers/markdown.js';
import { ROOT } from './helpers/reference.js';
import { BY_HAND, HALFSPACE, INSTEAD, SCRIPTS, SHELL, TESTED } from './helpers/runs.js';

const run = promisify(execFile);
const makefile = await readMakefile();
const makeText = (await Promise.all(['Makefile', 'wasm/tools.mk'].map((file) => readFile(join(ROOT, file), 'utf8')))).join('\n');
let folder = '';

/** @param {string} top @param {RegExp} name @returns {Promise<string[]>} paths from the root */
const filesIn = async (top, name) =>
  (await readdir(join(ROOT, top), { recursive: true }))
    .map((file) => join(top, file))
    .filter((path) => name.test(path) && !path.includes('node_modules'));

/** The documents: those at the root, and those of folders. */
const documents = [
  ...(await readdir(ROOT)).filter((name) => name.endsWith('.md')),
  ...(await Promise.all(['docs', 'demo', 'web'].map((top) => filesIn(top, /\.md$/)))).flat(),
].sort();

/** Every file of the tests but those of documents, by path. @type {Map<string, string>} */
const tests = new Map();
for (const path of await filesIn('tests', /\.js$/))
  if (!path.startsWith('tests/docs/')) tests.set(path, await readFile(join(ROOT, path), 'utf8'));

/** What CI makes, and the lines that make runs for it. */
const ciLines = (await readFile(join(ROOT, '.ci/run'), 'utf8')).split('\n').filter((line) => line.startsWith('make '));
const ci = closure(
  makefile,
  ciLines.flatMap((line) => line.split(' ').filter((word) => word !== 'make' && !word.includes('='))),
);
const ciRecipes = [...ci].flatMap((name) => makefile.targets.get(name)?.recipe ?? []);

/** Commands of a line of a recipe. @param {string} line */
const recipeCommands = (line) => commandsOf(parseMarkdown(`\`\`\`sh\n${line}\n\`\`\``)).map(({ words }) => words);

/** The command of `halfspace` that words name, and what is left of them. @param {string[]} words */
function leafOf(words) {
  let [command, rest] = [program, words];
  for (;;) {
    const next = command.commands.find((one) => one.name() === rest[0]);
    if (!next) return { command, rest };
    [command, rest] = [next, rest.slice(1)];
  }
}

/** @param {import('commander').Command} command @returns {string} */
const pathOf = (command) => (command.parent ? `${pathOf(command.parent)} ${command.name()}`.trim() : '');

/** @param {import('commander').Command} command @returns {import('commander').Command[]} */
const leaves = (command) => (command.commands.length > 0 ? command.commands.flatMap(leaves) : [command]);

/** @param {import('commander').Command} command @returns {import('commander').Command[]} */
const everyCommand = (command) => [command, ...command.commands.flatMap(everyCommand)];

for (const command of everyCommand(program)) {
  command.exitOverride().configureOutput({ writeErr: () => {} });
  if (command.commands.length === 0) command.action(() => {});
  for (const option of command.options) option.mandatory = false;
}

/** Flags that are given a command somewhere in the tests. */
const flagsRun = new Set(
  [...tests.values(), ...ciRecipes, ...Object.values(HALFSPACE).map((args) => args.join(' '))].flatMap(
    (text) => text.match(/--[a-z][\w-]*/g) ?? [],
  ),
);

/** Arguments as `halfspace` parses them. A name alone is a mention; options that are required may be left out. @param {string[]} words */
async function checkHalfspace(words) {
  const { command, rest } = leafOf(words);
  assert.ok(command !== program, `halfspace has no command ${words[0]}`);
  if (rest.length > 0) {
    await program.parseAsync(words, { from: 'user' });
    for (const flag of rest.filter((word) => word.startsWith('--'))) assert.ok(flagsRun.has(flag), `no test gives a command ${flag}`);
  }
  // `bench` alone is `bench decode`.
  for (const leaf of leaves(command))
    assert.ok(pathOf(leaf) in HALFSPACE || pathOf(leaf) in TESTED, `nothing runs halfspace ${pathOf(leaf)}`);
}

/** @param {string[]} words after `make` */
function checkMake(words) {
  for (const word of words) {
    const [name, value] = word.split('=');
    if (value !== undefined) assert.ok(makeText.includes(`$(${name})`), `the Makefile has no variable ${name}`);
    else checkTarget(name);
  }
}

/** Others are files, that make makes for those which need them. @param {string} name */
const isPhony = (name) => Boolean(makefile.targets.get('.PHONY')?.needs.includes(name));

/** @param {string} name */
function checkTarget(name) {
  const target = makefile.targets.get(name);
  assert.ok(target && isPhony(name), `there is no target ${name} in the Makefile`);
  if (ci.has(name) || name in BY_HAND) return;
  if (target.recipe.length === 0) target.needs.filter(isPhony).forEach(checkTarget);
  for (const line of target.recipe) for (const words of recipeCommands(line)) checkCommand(words);
}

/** The first argument that is a file. @param {string[]} args */
const scriptOf = (args) => args.find((arg) => !arg.startsWith('-'));

/** @param {string} script */
const inCi = (script) => ciRecipes.some((line) => line.split(/\s+/).includes(script));

/** Whether a test imports a script, or names its path. @param {string} script */
function inTests(script) {
  const path = join(ROOT, script);
  return [...tests].some(
    ([file, text]) =>
      file !== script &&
      Array.from(text.matchAll(/['"]([\w./-]+\.js)['"]/g)).some(
        ([, found]) => resolve(join(ROOT, dirname(file)), found) === path || join(ROOT, found) === path,
      ),
  );
}

/** @param {string[]} args after `node` */
function checkNode(args) {
  const script = scriptOf(args);
  assert.ok(script, 'a script is named');
  if (args.includes('--test')) {
    for (const path of args.filter((arg) => arg.endsWith('.test.js')))
      assert.ok(inCi(join(dirname(path), '*.test.js')) || makeText.includes(join(dirname(path), '*.test.js')), `CI does not run ${path}`);
    return;
  }
  assert.ok(script in SCRIPTS || script in INSTEAD || inCi(script) || inTests(script), `nothing runs ${script}`);
}

/** @param {string[]} words */
function checkCommand([program_, ...args]) {
  const name = basename(program_);
  if (SHELL.includes(name) || [`${name} ${args[0]}`, name].some((one) => one in INSTEAD)) return undefined;
  if (name === 'make') return checkMake(args);
  if (name === 'halfspace') return checkHalfspace(args);
  if (name === 'node')
    return scriptOf(args) === 'web/cli.js' ? checkHalfspace(args.slice(args.indexOf('web/cli.js') + 1)) : checkNode(args);
  if (name === 'sh') return assert.ok(inCi(String(args[0])), `CI does not run ${args[0]}`);
  if (name === 'npx' && args[0] === 'halfspace') return checkHalfspace(args.slice(1));
  const tool = name === 'npx' ? `npx ${args[0]}` : name;
  assert.ok(
    ciRecipes.some((line) => line.startsWith(`${tool} `)) || HERE.some(({ begins }) => [program_, ...args].join(' ').startsWith(begins)),
    `nothing runs ${[program_, ...args].join(' ')}`,
  );
  return undefined;
}

/** Lines that are run as they stand, and what they have to print. @type {{begins: string, check: (line: string) => Promise<void>}[]} */
const HERE = [
  {
    begins: 'gzip -9c build/halfspace.simd.wasm',
    check: async (line) => {
      const { stdout } = await run('sh', ['-ec', line], { cwd: ROOT });
      assert.ok(Number(stdout) > 20_000 && Number(stdout) < 100 << 10, `under 100 KB: ${stdout}`);
    },
  },
  {
    begins: 'cp node_modules/halfspace/build/',
    check: async (line) => {
      const app = join(folder, 'app');
      await mkdir(join(app, 'node_modules'), { recursive: true });
      await mkdir(join(app, 'dist'));
      await symlink(ROOT, join(app, 'node_modules/halfspace'));
      await run('sh', ['-ec', line], { cwd: app });
      const copied = await readdir(join(app, 'dist'));
      for (const name of ['halfspace.js', 'halfspace-worker.js', 'halfspace.simd.wasm']) assert.ok(copied.includes(name), name);
    },
  },
  {
    begins: 'curl -N http://localhost:8080/v1/',
    check: async (line) => {
      const server = spawn(process.execPath, ['web/cli.js', 'serve', '--model', join(folder, 'model.gguf'), '--port', '0'], { cwd: ROOT });
      try {
        const url = await new Promise((resolve_, reject) => {
          for (const stream of [server.stdout, server.stderr])
            stream.on('data', (text) => {
              const found = /http:\/\/[^/\s]+/.exec(String(text))?.[0];
              if (found) resolve_(found);
            });
          server.on('exit', (code) => reject(new Error(`serve ended with ${code}`)));
        });
        assert.ok(line.includes('http://localhost:8080'), line);
        const { stdout } = await run('sh', ['-ec', line.replace('http://localhost:8080', url)], { cwd: ROOT });
        assert.match(stdout, /^data: \{.*"delta"/m);
        assert.match(stdout, /^data: \[DONE\]/m);
      } finally {
        server.kill();
      }
    },
  },
];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'halfspace-commands-'));
  await writeFile(join(folder, 'model.gguf'), chatModel());
  await writeFile(join(folder, 'deep.gguf'), randomModel({ arch: 'llama', layers: 12, metadata: { context_length: 4096 } }));
  await writeFile(join(folder, 'text.txt'), (await readFile(join(ROOT, 'demo/documents/alice.txt'), 'utf8')).slice(0, 2000));
});
after(() => rm(folder, { recursive: true }));

for (const path of documents)
  test(`commands in ${path}`, async (t) => {
    const parts = await readMarkdown(join(ROOT, path));
    // The blocks of a tutorial are run as they stand; what its text names is not.
    const shown = path.startsWith('docs/tutorials/') ? parts.filter(({ kind }) => kind !== 'block') : parts;
    for (const { words, text } of commandsOf(shown))
      await t.test(text, async () => {
        await checkCommand(words);
      });
    const known = everyCommand(program).flatMap((command) => command.options.map(({ long }) => long));
    for (const option of optionsOf(parts))
      assert.ok(
        known.includes(option) || option === '--help' || [...tests.values()].some((one) => one.includes(`'${option}`)),
        `nothing has the option ${option}`,
      );
  });

test('lines that are run as they stand', { timeout: 60_000 }, async (t) => {
  const lines = new Set(
    (
      await Promise.all(documents.filter((path) => !path.startsWith('docs/tutorials/')).map((path) => readMarkdown(join(ROOT, path))))
    ).flatMap((parts) => commandsOf(parts).map(({ text }) => text)),
  );
  for (const { begins, check } of HERE) {
    const found = [...lines].filter((line) => line.startsWith(begins));
    assert.ok(found.length > 0, `no document has a line that begins with ${begins}`);
    for (const line of found) await t.test(line, () => check(line));
  }
});

/** @param {string[]} args */
const inFolder = (args) => args.map((arg) => arg.replace('FOLDER', folder));

test('every command of halfspace runs', { timeout: 300_000 }, async (t) => {
  const all = leaves(program).map(pathOf);
  assert.deepEqual([...Object.keys(HALFSPACE), ...Object.keys(TESTED)].sort(), all.sort());
  for (const [name, args] of Object.entries(HALFSPACE))
    await t.test(name, async () => {
      const { stdout } = await run(process.execPath, ['web/cli.js', ...name.split(' '), ...inFolder(args)], { cwd: ROOT });
      assert.ok(stdout.length > 0, name);
    });
  for (const name of makefile.variables.get('BENCHES')?.split(' ') ?? [])
    assert.ok(`bench ${name}` in HALFSPACE, `make bench runs ${name}`);
});

test('scripts that no other test runs', { timeout: 300_000 }, async (t) => {
  for (const [script, { args, model }] of Object.entries(SCRIPTS))
    await t.test(script, async () => {
      assert.ok(!inTests(script), `${script} is run by another test, and needs no line in SCRIPTS`);
      const env = { ...process.env, HALFSPACE_TEST_MODEL: join(folder, model === 'deep' ? 'deep.gguf' : 'model.gguf') };
      await run(process.execPath, [script, ...inFolder(args)], { cwd: ROOT, env });
    });
});

test('the tables say what is so', async () => {
  for (const [name, { by, names }] of Object.entries({ ...INSTEAD, ...TESTED }))
    assert.ok((await readFile(join(ROOT, by), 'utf8')).includes(names), `${name}: ${by} does not have ${names}`);
  for (const script of [...Object.keys(SCRIPTS), ...Object.keys(INSTEAD).filter((name) => name.endsWith('.js'))])
    await access(join(ROOT, script));
  for (const name of Object.keys(BY_HAND).filter((one) => makefile.targets.has(one)))
    await run('make', ['-n', name], { cwd: ROOT, env: OUTSIDE });
});

test('what is wrong is found', async () => {
  /** @param {string} markdown */
  const check = async (markdown) => {
    for (const { words } of commandsOf(parseMarkdown(markdown))) await checkCommand(words);
  };
  await check('`make demo`, `halfspace bench decode --model M --file F`, and\n\n    make lint test    # both\n    node demo/serve.js');
  for (const [markdown, problem] of /** @type {const} */ ([
    ['`make dmeo`', /no target dmeo/],
    ['<!-- table: make tabel -->', /no target tabel/],
    ['`make fuzz SECNDS=1`', /no variable SECNDS/],
    ['    make lint && make unknown', /no target unknown/],
    ['`halfspace bench decode --model M --file F --contxts 40`', /unknown option '--contxts'/],
    ['`halfspace bench decode --model M --file F --kv q9`', /argument 'q9' is invalid/],
    ['`halfspace snapshot lod S`', /too many arguments|unknown command/],
    ['    $B decode --peers', /nothing runs \$B/],
    ['`B="node web/cli.js bench"`\n\n    $B decode --peer', /unknown option '--peer'/],
    ['`halfspace serve --model M --alias X`', /no test gives a command --alias/],
    ['```sh\nnode "$(node web/cli.js pul)"\n```', /no command pul/],
    ['`node demo/sreve.js`', /nothing runs demo\/sreve.js/],
    ['`sh tests/native/runn.sh`', /CI does not run/],
    ['```sh\nfrobnicate --all\n```', /nothing runs frobnicate/],
    ['`npx prettiest --check .`', /nothing runs npx prettiest/],
  ]))
    await assert.rejects(check(markdown), problem, markdown);
  assert.ok(documents.includes('README.md') && documents.includes(join('docs', 'tutorials', 'node.md')), relative(ROOT, folder));
});
