/** What a script in an empty folder does with the installed package. Arguments: a model. */
import { Engine } from 'halfspace';
import { HsrIndex } from 'halfspace/attention';
import { Engine as EdgeEngine } from 'halfspace/edge';
import { Engine as NodeEngine } from 'halfspace/node';
import { Engine as WorkerEngine } from 'halfspace/worker';

const all = [];
for (const Each of [Engine, NodeEngine, EdgeEngine, WorkerEngine]) {
  const engine = await Each.load(process.argv[2], { variant: 'simd' });
  const ids = [];
  for await (const { id } of engine.generate('Once upon', { maxTokens: 8 })) ids.push(id);
  engine.close();
  all.push(ids);
}
const index = await HsrIndex.create({ headDim: 16, keys: new Float32Array(32).fill(1) });
console.log(
  JSON.stringify({
    all,
    found: index.report(new Float32Array(16).fill(1), 15).positions.length,
    wasm: import.meta.resolve('halfspace/wasm/simd'),
  }),
);
