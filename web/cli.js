#!/usr/bin/env node
/** The `halfspace` command. Results go to stdout, progress to stderr, a failure is one line and exit status 1. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

import { bench } from './cli/bench.js';
import { compare, generate } from './cli/generate.js';
import { inspect, logits, perplexity, tokenize } from './cli/measure.js';
import { pull } from './cli/pull.js';

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

const program = new Command('halfspace').description('Long-context LLM decoding on the CPU').exitOverride();

/**
 * A command on a model.
 * @param {string} name
 * @param {string} description
 */
function modelCommand(name, description) {
  return program
    .command(name)
    .description(description)
    .requiredOption('--model <path or URL>', 'GGUF file')
    .option('--ctx <tokens>', 'context length', count)
    .addOption(new Option('--kv <type>', 'KV cache').choices(['q8', 'f32']).default('q8'))
    .addOption(new Option('--variant <build>', 'WebAssembly build').choices(['auto', 'relaxed', 'simd']).default('auto'))
    .option('--threads <n>', 'threads, or auto: one per processor, 4 at most', threads, 1)
    .option('--rope-theta <x>', 'RoPE base instead of the file’s', number)
    .addOption(new Option('--rope-scaling <type>', 'RoPE scaling instead of the file’s').choices(['none', 'linear', 'ntk', 'yarn']))
    .option('--rope-factor <x>', 'factor of the RoPE scaling', number)
    .option('--json', 'print one JSON object on the last line');
}

const attention = () => new Option('--attention <mode>', 'attention while decoding').choices(['dense', 'hsr']).default('hsr');

program
  .command('pull')
  .description('fetch a model once, verify it and print its path')
  .argument('[name]', 'model', 'smollm2')
  .option('--json', 'print one JSON object on the last line')
  .action(pull);

modelCommand('generate', 'answer a prompt')
  .option('--prompt <text>', 'prompt')
  .option('--prompt-file <path>', 'file with the prompt')
  .option('--chat', 'apply the model’s chat template')
  .option('--max-tokens <n>', 'tokens to generate', count, 256)
  .addOption(attention())
  .option('--theta <share>', 'hsr: evaluate a key exactly from this share of the softmax mass', number)
  .option('--temp <t>', 'temperature, 0 is greedy', number, 0)
  .option('--seed <n>', 'seed of the sampler', count)
  .action(generate);

modelCommand('compare', 'answer a question about a document with dense, then with hsr attention')
  .requiredOption('--prompt-file <path>', 'document')
  .requiredOption('--question <text>', 'question about it')
  .option('--max-tokens <n>', 'tokens to generate', count, 48)
  .action(compare);

modelCommand('perplexity', 'perplexity of the end of a text')
  .requiredOption('--file <path>', 'text')
  .option('--eval-tokens <n>', 'tokens at the end that count', count, 256)
  .addOption(attention())
  .option('--theta <share>', 'hsr: evaluate a key exactly from this share of the softmax mass', number)
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
  .option('--json', 'print one JSON object on the last line')
  .action(inspect);

program
  .command('tokenize')
  .description('token ids of a text')
  .requiredOption('--model <path or URL>', 'GGUF file')
  .requiredOption('--text <text>', 'text')
  .option('--json', 'print one JSON object on the last line')
  .action(tokenize);

modelCommand('bench', 'time per token, dense and hsr, interleaved, with the error beside')
  .requiredOption('--file <path>', 'text to fill the context with')
  .option('--contexts <list>', 'context lengths', counts, [512, 2048, 4096, 8000])
  .option('--repeats <n>', 'decode steps per context', count, 16)
  .action(bench);

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
