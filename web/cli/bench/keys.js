/** Keys, values and queries for benches of attention alone, of any number: a model's, continued with noise, or Gaussian. */
import { createRandom } from '../../generation/sampler.js';

/** The first positions, which a model attends to as a sink: they stay the first ones, and there are no more of them. */
export const SINKS = 16;
/** Deviation of the noise on repeated keys and values, as a share of the deviation of each dimension. */
export const NOISE = 0.1;
const PIECE = 4096;

/**
 * @typedef {object} Source
 * @property {string} name
 * @property {number} headDim
 * @property {number} kvHeads
 * @property {Float32Array[]} queries [kvHeads][group][headDim] of each step
 * @property {(n: number) => Generator<{keys: Float32Array, values: Float32Array}>} rows n positions, [kvHeads][headDim] each,
 *   in pieces; the same at every call
 */

/** What readers are told of a model's keys. @param {string} model @param {string} part @param {number} captured tokens */
export function provenance(model, part, captured) {
  return `keys of ${model}, ${part}: ${captured} captured, beyond them repeated with noise of ${NOISE} of each dimension's deviation`;
}

/** @param {number} seed @returns {() => number} standard normal numbers */
export function normals(seed) {
  const random = createRandom(seed);
  let spare = NaN;
  return () => {
    if (!Number.isNaN(spare)) {
      const x = spare;
      spare = NaN;
      return x;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** Deviation of each dimension. @param {Float32Array} rows @param {number} d */
function deviations(rows, d) {
  const n = rows.length / d;
  const [sum, squares] = [new Float64Array(d), new Float64Array(d)];
  rows.forEach((x, i) => {
    sum[i % d] += x;
    squares[i % d] += x * x;
  });
  return squares.map((s, i) => Math.sqrt(Math.max(0, s / n - (sum[i] / n) ** 2)));
}

/**
 * The newest positions are the model's newest ones, as its queries look at what is near; from the captured length on they
 * repeat with noise. The first ones are the model's first ones.
 * @param {string} name
 * @param {import('../capture.js').CapturedHead[]} heads KV heads of one layer
 * @returns {Source}
 */
export function continued(name, heads) {
  const { headDim } = heads[0];
  const kvHeads = heads.length;
  const held = heads[0].keys.length / headDim;
  const sinks = Math.min(SINKS, held - 1);
  const spreads = heads.map(({ keys, values }) => ({ keys: deviations(keys, headDim), values: deviations(values, headDim) }));

  /**
   * @param {'keys' | 'values'} which
   * @param {number} n
   * @param {number} from
   * @param {number} count
   * @param {() => number} normal
   */
  function piece(which, n, from, count, normal) {
    const out = new Float32Array(count * kvHeads * headDim);
    for (let i = 0; i < count; i++) {
      const position = from + i;
      const age = n - 1 - position;
      const again = position >= sinks && age >= held - sinks;
      const source = position < sinks ? position : held - 1 - (age % (held - sinks));
      for (let h = 0; h < kvHeads; h++) {
        const at = (i * kvHeads + h) * headDim;
        out.set(heads[h][which].subarray(source * headDim, (source + 1) * headDim), at);
        if (again) for (let d = 0; d < headDim; d++) out[at + d] += NOISE * spreads[h][which][d] * normal();
      }
    }
    return out;
  }

  return {
    name,
    headDim,
    kvHeads,
    queries: heads[0].queries.map((_, step) => Float32Array.from(heads.flatMap(({ queries }) => Array.from(queries[step])))),
    *rows(n) {
      const normal = normals(n);
      for (let from = 0; from < n; from += PIECE) {
        const count = Math.min(PIECE, n - from);
        yield { keys: piece('keys', n, from, count, normal), values: piece('values', n, from, count, normal) };
      }
    },
  };
}

/**
 * Independent normal numbers: nothing to find for an index, and attention that is nearly flat.
 * @param {{headDim: number, kvHeads: number, group: number, steps: number}} shape
 * @returns {Source}
 */
export function gaussian({ headDim, kvHeads, group, steps }) {
  const some = (/** @type {number} */ length, /** @type {() => number} */ normal) => Float32Array.from({ length }, normal);
  const normal = normals(1);
  return {
    name: 'Gaussian keys',
    headDim,
    kvHeads,
    queries: Array.from({ length: steps }, () => some(kvHeads * group * headDim, normal)),
    *rows(n) {
      const own = normals(n);
      for (let from = 0; from < n; from += PIECE) {
        const width = Math.min(PIECE, n - from) * kvHeads * headDim;
        yield { keys: some(width, own), values: some(width, own) };
      }
    },
  };
}
