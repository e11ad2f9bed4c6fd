/** `perplexity`, `logits`, `inspect`, `tokenize`: what a model says about a text, and what a file holds. */
import { writeFile } from 'node:fs/promises';

import { openSource } from '../bytes/sources.js';
import { modelConfig } from '../model/config.js';
import { readGguf } from '../model/gguf.js';
import { createTokenizer } from '../tokenizer/tokenizer.js';
import { loadEngine, print, printJson, progress, readText } from './common.js';
import { round } from './numbers.js';

/** @typedef {import('./common.js').ModelOptions} ModelOptions */

/** @param {ModelOptions & {file: string, evalTokens: number, attention: 'dense' | 'hsr', theta?: number, against?: 'dense'}} options */
export async function perplexity(options) {
  const text = await readText(options.file);
  const engine = await loadEngine(options);
  const bar = progress('prefill', 'tokens');
  const result = await engine.perplexity(text, {
    ctx: options.ctx,
    evalTokens: options.evalTokens,
    attention: { mode: options.attention, theta: options.theta },
    against: options.against,
    onPrefill: bar.update,
  });
  bar.stop();
  const { variant } = engine.info;
  engine.close();
  if (options.json) printJson({ ...result, variant });
  else
    for (const [name, value] of Object.entries(result))
      process.stdout.write(`${name} ${typeof value === 'object' ? JSON.stringify(value) : value}\n`);
}

/** @param {ModelOptions & {promptFile: string, out?: string}} options */
export async function logits(options) {
  const text = await readText(options.promptFile);
  const engine = await loadEngine(options);
  const values = await engine.logits(text);
  if (options.out) await writeFile(options.out, new Uint8Array(values.buffer));
  const top = Array.from(values, (logit, id) => ({ id, logit }))
    .sort((a, b) => b.logit - a.logit)
    .slice(0, 10)
    .map(({ id, logit }) => ({ id, logit: round(logit, 4), text: engine.detokenize([id]) }));
  engine.close();
  if (options.json) printJson({ vocab: values.length, top, out: options.out });
  else for (const { id, logit, text: piece } of top) process.stdout.write(`${id}\t${logit}\t${JSON.stringify(piece)}\n`);
}

/** @param {string} model */
async function header(model) {
  const source = await openSource(model);
  try {
    return await readGguf(source);
  } finally {
    await source.close();
  }
}

/** @param {{model: string, json?: boolean}} options */
export async function inspect({ model, json }) {
  const file = await header(model);
  const { words: _words, ...config } = modelConfig(file);
  /** @type {Record<string, number>} */
  const types = {};
  for (const tensor of file.tensors) types[tensor.typeName] = (types[tensor.typeName] ?? 0) + 1;
  const result = {
    ...config,
    parameters: file.tensors.reduce((n, t) => n + t.rows * t.cols, 0),
    weightBytes: file.tensors.reduce((n, t) => n + t.nbytes, 0),
    tensors: file.tensors.length,
    types,
  };
  print(result, json);
}

/** @param {{model: string, text: string, json?: boolean}} options */
export async function tokenize({ model, text, json }) {
  const tokens = createTokenizer((await header(model)).metadata).encode(text);
  if (json) printJson({ tokens });
  else process.stdout.write(`${tokens.join(' ')}\n`);
}
