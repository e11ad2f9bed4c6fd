/**
 * What is run for commands that documents name, in a form that takes seconds: the tables of commands.test.js. A new command of `halfspace`
 * takes a line in HALFSPACE; a new script one in SCRIPTS, unless a test imports or starts it; a target of make none, as long as what it runs is here.
 */

/** By name: arguments that run it. FOLDER has model.gguf, deep.gguf (12 layers) and text.txt; commands run in this order. */
export const HALFSPACE = {
  pull: [],
  generate: ['--model', 'FOLDER/model.gguf', '--prompt', 'Once upon', '--max-tokens', '2'],
  compare: ['--model', 'FOLDER/model.gguf', '--prompt-file', 'FOLDER/text.txt', '--question', 'Who?', '--max-tokens', '2', '--ctx', '600'],
  perplexity: ['--model', 'FOLDER/model.gguf', '--file', 'FOLDER/text.txt', '--ctx', '64', '--eval-tokens', '2'],
  logits: ['--model', 'FOLDER/model.gguf', '--prompt-file', 'FOLDER/text.txt'],
  inspect: ['--model', 'FOLDER/model.gguf'],
  tokenize: ['--model', 'FOLDER/model.gguf', '--text', 'Once upon'],
  'snapshot save': ['--model', 'FOLDER/model.gguf', '--file', 'FOLDER/text.txt', '--ctx', '64', '--out', 'FOLDER/text.snapshot'],
  'snapshot load': ['FOLDER/text.snapshot', '--model', 'FOLDER/model.gguf', '--max-tokens', '2'],
  'snapshot inspect': ['FOLDER/text.snapshot'],
  'snapshot verify': ['FOLDER/text.snapshot'],
  'bench decode':
    '--model FOLDER/model.gguf --file FOLDER/text.txt --contexts 40 --tokens 2 --repeats 1 --hog 1 --threads 2 --rope-scaling yarn --rope-factor 4 --peers --wllama-contexts 1 --wllama-settings best'.split(
      ' ',
    ),
  'bench prefill': '--model FOLDER/model.gguf --file FOLDER/text.txt --lengths 40 --repeats 1'.split(' '),
  'bench load': '--model FOLDER/model.gguf --repeats 1'.split(' '),
  'bench quality': '--model FOLDER/model.gguf --file FOLDER/text.txt --ctx 64 --eval-tokens 2 --certified-tokens 1'.split(' '),
  'bench scaling': '--sizes 512 --model FOLDER/deep.gguf --file FOLDER/text.txt --ctx 600 --layers 1'.split(' '),
  'bench attention': '--sizes 512 --model FOLDER/deep.gguf --file FOLDER/text.txt --ctx 600'.split(' '),
  'bench kernels': '--only exp --repeats 1 --ms 1'.split(' '),
  'bench theory': '--sizes 256,512'.split(' '),
};

/** Commands of `halfspace` that a test of its own runs. @type {Record<string, {by: string, names: string}>} */
export const TESTED = {
  serve: { by: 'tests/node/serve.test.js', names: "'serve', '--port', '0'" },
};

/** Scripts that no test imports or starts, and how they are run here. @type {Record<string, {args: string[], model?: 'deep'}>} */
export const SCRIPTS = {
  'demo/screenshot.js': { args: ['FOLDER/page.png', '--tokens', '64', '--folder', 'FOLDER/site'] },
  'demo/trace.js': { args: ['--folder', 'FOLDER/site'] },
  'demo/edge/fill.js': { args: ['FOLDER/store', '--tokens', '200'], model: 'deep' },
  'tests/fuzz/run.js': { args: ['--seconds', '1', '--target', 'options'] },
};

/** What stands for others in a test or in what CI runs. @type {Record<string, {by: string, names: string}>} */
export const INSTEAD = {
  // soak() for ten seconds; the script gives it the minutes.
  'tests/soak/run.js': { by: 'tests/node/soak.test.js', names: "from '../soak/soak.js'" },
  typedoc: { by: 'tests/docs/helpers/reference.js', names: '.bin/typedoc' },
  doxygen: { by: 'tests/docs/helpers/reference.js', names: "'doxygen'" },
  workerd: { by: 'tests/runtimes/workerd.js', names: "'serve', 'config.capnp'" },
  'npm ci': { by: 'wasm/tools.mk', names: 'npm ci --ignore-scripts' },
  'npm ls': { by: 'tests/package/supply-chain.test.js', names: "['ls'," },
  'npm pack': { by: 'tests/package/helpers/installed.js', names: "'npm', 'pack'" },
};

/** Targets of make that no test runs, and why. `make -n` still has to know how. @type {Record<string, string>} */
export const BY_HAND = {
  audit: 'asks a registry, and says something else every week',
  bench: 'an hour; each of BENCHES is run here',
  clean: 'removes what tests run on',
  coverage: 'half an hour, of what test-native and test-node run, under instruments',
  evidence: 'hours',
  'evidence-quick': 'minutes of a whole machine',
  fmt: 'rewrites the sources; lint runs the same tools and fails where they would',
};

/** Programs of any shell: that they exist is all there is to say. */
export const SHELL = 'cat cd cp cut echo expand git grep head mkdir mv printf rm sed set tail wc'.split(' ');
