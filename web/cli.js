#!/usr/bin/env node
/** The `halfspace` command. Results go to stdout, progress to stderr, a failure is one line and exit status 1. */
import { realpathSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

import { attentionStep } from './cli/bench/attention.js';
import { decode } from './cli/bench/decode.js';
import { kernels } from './cli/bench/kernels.js';
import { load } from './cli/bench/load.js';
import { prefill } from './cli/bench/prefill.js';
import { quality } from './cli/bench/quality.js';
import { inRuntime, RUNTIMES } from './cli/bench/runtime.js';
import { scaling } from './cli/bench/scaling.js';
import { theory } from './cli/bench/theory.js';
import { compare, generate } from './cli/generate.js';
import { inspect, logits, perplexity, tokenize } from './cli/measure.js';
import { pull } from './cli/pull.js';
import { serve } from './cli/serve.js';
import * as snapshots from './cli/snapshot.js';
import { DEFAULTS } from './server/server.js';

/** @param {string} text */
function count(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('must be a count');
  return value;
}

/** @param {string} text */
function number(text) {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('must be a number');
  return value;
}

/** @param {string} text */
const threads = (text) => (text === 'auto' ? text : count(text));

/** @param {string} text */
const counts = (text) => text.split(',').map(count);

/** @param {string} text */
const list = (text) => text.split(',');

export const program = new Command('halfspace').description('Long-context LLM decoding on the CPU').exitOverride();

const json = () => new Option('--json', 'print one JSON object on the last line');

/**
 * A command that runs WebAssembly.
 * @param {Command} command
 */
function wasmOptions(command) {
  return command
    .addOption(new Option('--variant <build>', 'WebAssembly build').choices(['auto', 'relaxed', 'simd']).default('auto'))
    .addOption(json());
}

/**
 * A command that may run a model.
 * @param {Command} command
 */
function engineOptions(command) {
  return wasmOptions(command)
    .option('--rope-theta <x>', 'RoPE base instead of the file’s', number)
    .addOption(new Option('--rope-scaling <type>', 'RoPE scaling instead of the file’s').choices(['none', 'linear', 'ntk', 'yarn']))
    .option('--rope-factor <x>', 'factor of the RoPE scaling', number);
}

/**
 * A command on a model.
 * @param {string} name
 * @param {string} description
 * @param {{parent?: Command, isDefault?: boolean, ctx?: number}} [options] isDefault: what the parent does where no other
 *   command is named; ctx: default context length
 */
function modelCommand(name, description, { parent = program, isDefault = false, ctx } = {}) {
  return engineOptions(parent.command(name, { isDefault }))
    .description(description)
    .requiredOption('--model <path or URL>', 'GGUF file')
    .option('--ctx <tokens>', 'context length', count, ctx)
    .option('--threads <n>', 'threads, or auto: one per processor, 4 at most', threads, 1)
    .addOption(new Option('--kv <type>', 'KV cache').choices(['q8', 'f32']).default('q8'));
}

const attention = () => new Option('--attention <mode>', 'attention while decoding').choices(['dense', 'hsr']).default('hsr');
const theta = () => new Option('--theta <share>', 'hsr: evaluate a key exactly from this share of the softmax mass').argParser(number);

program
  .command('pull')
  .description('fetch a model once, verify it and print its path')
  .argument('[name]', 'model', 'smollm2')
  .addOption(json())
  .action(pull);

modelCommand('generate', 'answer a prompt')
  .option('--prompt <text>', 'prompt')
  .option('--prompt-file <path>', 'file with the prompt')
  .option('--chat', 'apply the model’s chat template')
  .option('--max-tokens <n>', 'tokens to generate', count, 256)
  .addOption(attention())
  .addOption(theta())
  .option('--temp <t>', 'temperature, 0 is greedy', number, 0)
  .option('--seed <n>', 'seed of the sampler', count)
  .action(generate);

modelCommand('serve', 'answer over HTTP, as OpenAI’s API does')
  .option('--host <address>', 'address to listen on', DEFAULTS.host)
  .option('--port <n>', 'port, 0: any', count, DEFAULTS.port)
  .addOption(new Option('--api-key <key>', 'key that clients must give').env('HALFSPACE_API_KEY'))
  .option('--cors <origin>', 'origin of pages that may call, or *; default: none')
  .option('--alias <name>', 'name of the model to clients; default: the file’s')
  .addOption(attention())
  .option('--max-tokens <n>', 'tokens of a chat’s answer where a request does not say', count, DEFAULTS.maxTokens)
  .option('--queue <n>', 'requests that may wait', count, DEFAULTS.queue)
  .option('--max-body <bytes>', 'bytes of a request', count, DEFAULTS.maxBody)
  .option('--prefix-cache <n>', 'prompts with answers that are held for others to continue, 0: none', count, DEFAULTS.prefixes.entries)
  .option('--prefix-cache-bytes <bytes>', 'memory for them', count, DEFAULTS.prefixes.bytes)
  .option('--snapshots <folder>', 'where those that leave memory are saved, to be resumed; default: nowhere')
  .option('--snapshots-bytes <bytes>', 'disk for them', count, 2 ** 32)
  .action(serve);

modelCommand('compare', 'answer a question about a document with dense, then with hsr attention')
  .requiredOption('--prompt-file <path>', 'document')
  .requiredOption('--question <text>', 'question about it')
  .option('--max-tokens <n>', 'tokens to generate', count, 48)
  .action(compare);

modelCommand('perplexity', 'perplexity of the end of a text')
  .requiredOption('--file <path>', 'text')
  .option('--eval-tokens <n>', 'tokens at the end that count', count, 256)
  .addOption(attention())
  .addOption(theta())
  .addOption(new Option('--against <mode>', 'also compare each distribution').choices(['dense']))
  .action(perplexity);

modelCommand('logits', 'logits after a prompt')
  .requiredOption('--prompt-file <path>', 'file with the prompt')
  .option('--out <path>', 'write all logits as little-endian f32')
  .action(logits);

program
  .command('inspect')
  .description('what a GGUF file holds')
  .requiredOption('--model <path or URL>', 'GGUF file')
  .addOption(json())
  .action(inspect);

program
  .command('tokenize')
  .description('token ids of a text')
  .requiredOption('--model <path or URL>', 'GGUF file')
  .requiredOption('--text <text>', 'text')
  .addOption(json())
  .action(tokenize);

const snapshot = program.command('snapshot').description('prefilled contexts as files: web/snapshot/FORMAT.md');

modelCommand('save', 'read a text once and save the context', { parent: snapshot })
  .requiredOption('--file <path>', 'text, cut to the context length')
  .requiredOption('--out <path>', 'snapshot to write')
  .option('--base <paths...>', 'snapshot that the text continues, and those that add to it: only what is new is saved')
  .action(snapshots.save);

modelCommand('load', 'resume a snapshot, and go on from there', { parent: snapshot })
  .argument('<files...>', 'snapshot, and those that add to it')
  .option('--prompt <text>', 'what comes next')
  .option('--max-tokens <n>', 'tokens to generate after it', count, 32)
  .addOption(attention())
  .action(snapshots.load);

snapshot
  .command('inspect')
  .description('what a snapshot says of itself')
  .argument('<file>', 'path or URL')
  .addOption(json())
  .action(snapshots.inspect);

snapshot
  .command('verify')
  .description('read a snapshot to its end and check every record')
  .argument('<files...>', 'snapshot, and those that add to it')
  .addOption(json())
  .action(snapshots.verify);

const bench = program.command('bench').description('speed, with the error beside; decode where no other is named');

/**
 * What all benches take.
 * @param {Command} command
 */
const benchOptions = (command) =>
  command
    .addOption(new Option('--runtime <name>', 'where to run; from a checkout, after make tools-bench').choices(RUNTIMES))
    .option('--out <folder>', 'also write JSON, a Markdown table, and charts as SVG');

/**
 * What benches take that compare with peers running the model.
 * @param {Command} command
 */
const peerOptions = (command) =>
  benchOptions(command)
    .requiredOption('--file <path>', 'text to fill the context with')
    .option('--profile', 'time by phase instead, in a build with a clock; from a checkout, after make bench-builds')
    .option('--hog <n>', 'busy processes beside the rounds', count, 0)
    .option('--peers', 'also llama.cpp and wllama (in Chromium); from a checkout, after make tools-bench')
    .option(
      '--wllama-contexts <list>',
      'wllama takes part up to the longest of these; it reads about 10 tokens a second',
      counts,
      [512, 2048],
    )
    .option('--wllama-settings <list>', 'all, best, default, or e.g. f32, fa-f16, fa-q8:2 (flash attention, KV cache, threads)', list, [
      'best',
    ]);

peerOptions(modelCommand('decode', 'time per token, dense and hsr, interleaved, with the error beside', { parent: bench, isDefault: true }))
  .option('--contexts <list>', 'context lengths (default: 512,2048,4096,8000, with --profile 512,8000)', counts)
  .option('--repeats <n>', 'rounds per context', count, 5)
  .option('--tokens <n>', 'tokens that a round decodes', count, 8)
  .action(inRuntime(decode));

peerOptions(modelCommand('prefill', 'tokens read per second, exactly and by half-space reporting', { parent: bench }))
  .option('--lengths <list>', 'lengths of the prompt (default: 512,8000)', counts)
  .option('--repeats <n>', 'rounds per length', count, 3)
  .action(inRuntime(prefill));

benchOptions(modelCommand('load', 'from the model’s file to the first token of a short prompt: time and peak memory', { parent: bench }))
  .option('--repeats <n>', 'how often', count, 3)
  .action(inRuntime(load));

benchOptions(modelCommand('quality', 'time and error of many attention options over the same tokens', { parent: bench, ctx: 8100 }))
  .requiredOption('--file <path>', 'text')
  .option('--eval-tokens <n>', 'tokens at the end that are decoded', count, 256)
  .option('--certified-tokens <n>', 'of them with certified attention, which is slow', count, 16)
  .action(inRuntime(quality, 'quality'));

/**
 * A bench of attention alone.
 * @param {string} name
 * @param {string} description
 * @param {number[]} sizes
 */
function keysCommand(name, description, sizes) {
  return benchOptions(engineOptions(bench.command(name)))
    .description(description)
    .option('--model <path or URL>', 'GGUF file whose keys to take, beside or instead of Gaussian ones')
    .option('--file <path>', 'text that the model reads')
    .option('--ctx <tokens>', 'tokens that the model reads', count, 8192)
    .option('--sizes <list>', 'numbers of keys', counts, sizes);
}

keysCommand(
  'scaling',
  'how the time of a query and the bytes of a key grow',
  Array.from({ length: 9 }, (_, i) => 2 ** (11 + i)),
)
  .option('--layers <list>', 'layers whose keys to take', counts, [1, 9, 18, 26])
  .action(inRuntime(scaling, 'scaling'));

keysCommand('attention', 'attention step of one layer, dense and fast', [8192, 32_768, 131_072])
  .option('--layer <n>', 'layer whose keys to take', count, 9)
  .option('--peers', 'also onnxruntime-web, and hnswlib-wasm in Chromium; from a checkout, after make tools-bench')
  .action(inRuntime(attentionStep, 'attention'));

benchOptions(wasmOptions(bench.command('kernels')))
  .description('what each kernel does per second, beside native code; from a checkout, after make bench-builds')
  .option('--only <list>', 'beginnings of names, e.g. matvec,exp', list)
  .option('--repeats <n>', 'rounds per kernel', count, 5)
  .option('--ms <n>', 'milliseconds of each measurement', count, 50)
  .action(inRuntime(kernels));

benchOptions(wasmOptions(bench.command('theory')))
  .description('half-space reporting in 2 to 4 dimensions, where theory has it sublinear, and beyond')
  .option(
    '--sizes <list>',
    'numbers of keys',
    counts,
    Array.from({ length: 9 }, (_, i) => 2 ** (8 + i)),
  )
  .action(inRuntime(theory, 'theory'));

/** Runs the command that the process was started with. */
async function run() {
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 1;
    } else {
      const { name, message, stack } = /** @type {Error} */ (error);
      process.stderr.write(`halfspace: ${name === 'HalfspaceError' ? message : stack}\n`);
      process.exitCode = 1;
    }
  }
}

// Not where another module asks what the command takes. npm starts it through a link.
if (argv[1] && import.meta.url === pathToFileURL(realpathSync(argv[1])).href) await run();
