// What TypeScript must know of the installed package, without the types of Node.js.
import { Engine, HalfspaceError, type GenerateOptions, type Prefix } from 'halfspace';
import { attend, HsrIndex, KvCache } from 'halfspace/attention';
import { Engine as EdgeEngine } from 'halfspace/edge';
import { Engine as NodeEngine } from 'halfspace/node';
import { Engine as WorkerEngine } from 'halfspace/worker';

const engine: Engine = await Engine.load('model.gguf', { threads: 'auto', worker: false });
const ids: number[] = await engine.tokenize('text');
// @ts-expect-error it may be a promise, in a page
const atOnce: number[] = engine.tokenize('text');
const prefix: Prefix = await engine.prefill(ids);
const options: GenerateOptions = { prefix, attention: { strength: 'certified', eps: 0.1 } };
for await (const { text, step } of engine.generate('text', options)) {
  const said: string = text;
  const error: number | undefined = step?.stats().errorMax;
  console.log(said, error);
}
const here: number[] = (await NodeEngine.load('model.gguf')).tokenize('text');
const there: Promise<number[]> = (await WorkerEngine.load('model.gguf')).tokenize('text');
// @ts-expect-error no number of threads
await EdgeEngine.load('model.gguf', { threads: 'few' });
// @ts-expect-error no option of that name
await Engine.load('model.gguf', { thread: 2 });
const index: HsrIndex = await HsrIndex.create({ headDim: 4, keys: new Float32Array(8) });
const positions: Int32Array = index.report(new Float32Array(4), 0.5).positions;
const cache = await KvCache.create({ headDim: 64, kvHeads: 1 });
const { output } = attend(cache, new Float32Array(64), { strength: 'fast' });
console.log(new HalfspaceError('io', 'message').code, atOnce, here, there, positions, output);
