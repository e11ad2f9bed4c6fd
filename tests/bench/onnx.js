/**
 * The dense attention step by onnxruntime-web: MatMul, Softmax, MatMul, which is faster than its GroupQueryAttention operator.
 * Keys and values are constants of the model, so that a step copies the query alone, as none could with a cache that grows.
 */
import { installedVersion } from './installed.js';
import { onnxModel } from './onnx-model.js';

/**
 * @param {import('../../web/cli/bench/keys.js').Source} source
 * @param {number} n keys
 * @returns {Promise<import('../../web/cli/bench/attention.js').DensePeer>}
 */
export async function onnxAttention(source, n) {
  const name = 'onnxruntime-web'; // in a variable, as it is not there where types are checked
  const version = await installedVersion(name);
  const ort = await import(name);
  ort.env.wasm.numThreads = 1;
  const { headDim, kvHeads } = source;
  const group = source.queries[0].length / headDim / kvHeads;
  const { keys, values } = constants(source, n);
  const model = onnxModel({
    inputs: [{ name: 'q', shape: [kvHeads, group, headDim] }],
    constants: [
      { name: 'k', shape: [kvHeads, headDim, n], data: keys },
      { name: 'v', shape: [kvHeads, n, headDim], data: values },
    ],
    nodes: [
      { op: 'MatMul', inputs: ['q', 'k'], output: 'logits' },
      { op: 'Softmax', inputs: ['logits'], output: 'weights', attributes: { axis: -1 } },
      { op: 'MatMul', inputs: ['weights', 'v'], output: 'out' },
    ],
    output: { name: 'out', shape: [kvHeads, group, headDim] },
  });
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
  const scale = 1 / Math.sqrt(headDim);
  return {
    name,
    version: `${version}, f32, 1 thread`,
    async run(query) {
      const q = new ort.Tensor(
        'float32',
        query.map((x) => x * scale),
        [kvHeads, group, headDim],
      );
      return (await session.run({ q })).out.data;
    },
    close: () => session.release(),
  };
}

/**
 * Keys as [kvHeads][headDim][n], values as [kvHeads][n][headDim].
 * @param {import('../../web/cli/bench/keys.js').Source} source
 * @param {number} n
 */
function constants({ headDim, kvHeads, rows }, n) {
  const keys = new Float32Array(kvHeads * headDim * n);
  const values = new Float32Array(kvHeads * headDim * n);
  let position = 0;
  for (const piece of rows(n)) {
    const count = piece.keys.length / (kvHeads * headDim);
    for (let i = 0; i < count; i++, position++) {
      for (let h = 0; h < kvHeads; h++) {
        const at = (i * kvHeads + h) * headDim;
        for (let d = 0; d < headDim; d++) keys[(h * headDim + d) * n + position] = piece.keys[at + d];
        values.set(piece.values.subarray(at, at + headDim), (h * n + position) * headDim);
      }
    }
  }
  return { keys, values };
}
