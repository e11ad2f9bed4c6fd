/** The sparsity lemma: whether at most 2 n^(4/5) keys pass the paper's threshold, and how many do. */
import { reluThreshold } from '../../../web/attention.js';
import { lineChart } from '../../../web/cli/bench/chart.js';
import { normals } from '../../../web/cli/bench/keys.js';
import { mean, median, percent, significant } from '../../../web/cli/numbers.js';
import { captured, captureText } from '../captured.js';
import { bisectThreshold, countFrom, largest, logitsOf, rms, softmaxWeights, split } from '../plain.js';

const DELTA = 0.01;
const POWER = 0.8;
/** Of the factor of sigma_q sigma_k sqrt(0.4 ln n) in the paper's b. */
const REPORTED_POWER = 0.4;

/**
 * @typedef {{sizes: number[], dims: number[], queries: number}} Amount
 * @typedef {{d: number, n: number, limit: number, paper: number, largest: number, passed: number[], plain: number, plainPassed: number[],
 *   tight: number, tightPassed: number[]}} Simulated thresholds b and how many keys pass them, of each query: the paper's, without its
 *   factor of 4 sqrt(1 + ln(m / delta) / d), and the one found by bisection on every second query (passed: of the other ones)
 * @typedef {{layer: number, n: number, paper: number, largest: number, passed: number, mass: number, plain: number, plainPassed: number,
 *   own: number}} RealQuery own: the largest b at which n^0.8 keys pass
 */

/** @type {Record<'quick' | 'full', Amount>} */
const AMOUNTS = {
  quick: { sizes: [2 ** 8, 2 ** 11, 2 ** 14], dims: [16, 64, 128], queries: 32 },
  full: { sizes: [2 ** 8, 2 ** 11, 2 ** 14, 2 ** 17], dims: [16, 64, 128], queries: 64 },
};

/** @param {import('../section.js').Section} section @param {import('../section.js').Setting} setting */
export async function run(section, setting) {
  const amount = AMOUNTS[setting.quick ? 'quick' : 'full'];
  const rows = amount.dims.flatMap((d) => {
    setting.log(`d = ${d}`);
    return simulate(d, amount);
  });
  describeSimulated(section, rows, amount.queries);
  const from = await captured(setting);
  section.text(realText(captureText(from)));
  describeReal(section, from.layers.map(measureLayer));
}

/** @param {number} n @param {number} sigmas sigma_q sigma_k */
const plainThreshold = (n, sigmas) => sigmas * Math.sqrt(REPORTED_POWER * Math.log(n));

/**
 * Logits of independent normal keys and queries of deviation 1: the smaller sizes are the first keys of the largest one.
 * @param {number} d
 * @param {Amount} amount
 * @returns {Simulated[]}
 */
export function simulate(d, { sizes, queries: m }) {
  const normal = normals(d);
  const most = Math.max(...sizes);
  const queries = Array.from({ length: m }, () => Float64Array.from({ length: d }, normal));
  const logits = queries.map(() => new Float64Array(most));
  const key = new Float64Array(d);
  for (let n = 0; n < most; n++) {
    for (let i = 0; i < d; i++) key[i] = normal();
    for (let j = 0; j < m; j++) {
      const q = queries[j];
      let sum = 0;
      for (let i = 0; i < d; i++) sum += q[i] * key[i];
      logits[j][n] = sum / Math.sqrt(d);
    }
  }
  return sizes.map((n) => {
    const own = logits.map((row) => row.subarray(0, n));
    const passing = (/** @type {number} */ b, rows = own) => rows.map((row) => countFrom(row, b));
    const paper = reluThreshold({ n, d, m, delta: DELTA });
    const plain = plainThreshold(n, 1);
    const halves = [0, 1].map((half) => own.filter((_, j) => j % 2 === half));
    const tight = bisectThreshold(halves[0], n ** POWER);
    return {
      d,
      n,
      limit: 2 * n ** POWER,
      paper,
      largest: largest(own.map(largest)),
      passed: passing(paper),
      plain,
      plainPassed: passing(plain),
      tight,
      tightPassed: passing(tight, halves[1]),
    };
  });
}

/** @param {number[]} counts */
const meanAndMost = (counts) => `${Math.round(mean(counts))} / ${Math.max(...counts)}`;

/** @param {import('../section.js').Section} section @param {Simulated[]} rows @param {number} m queries */
function describeSimulated(section, rows, m) {
  section.text(
    `The lemma: for n keys and m queries of independent normal coordinates, b = σ_a √(0.4 ln n) with σ_a = 4 √(1 + ln(m/δ)/d) σ_q σ_k, no query has more than 2 n^0.8 keys with ⟨q,k⟩/√d ≥ b, with probability 1 - δ. ` +
      `Here σ_q = σ_k = 1, m = ${m} queries, δ = ${DELTA}, and every product is computed. "Plain" is b = σ_q σ_k √(0.4 ln n): a normal logit of deviation σ_q σ_k passes it with a probability of at most n^-0.2, so the factor 4 √(…) is all safety. ` +
      `"Bisected" is the b at which every second query has n^0.8 keys on average, tried on the other queries.`,
  );
  section.table(
    'Keys that pass, of normal keys (mean / most of a query)',
    ['d', 'n', 'limit 2 n^0.8', "paper's b", 'largest logit', "pass paper's b", 'plain b', 'pass plain b', 'bisected b', 'pass bisected b', "bisected / paper's b"], // prettier-ignore
    rows.map((row) => [
      row.d,
      row.n,
      Math.round(row.limit),
      significant(row.paper),
      significant(row.largest),
      meanAndMost(row.passed),
      significant(row.plain),
      meanAndMost(row.plainPassed),
      significant(row.tight),
      meanAndMost(row.tightPassed),
      significant(row.tight / row.paper, 2),
    ]),
  );
  const d = rows[rows.length >> 1].d;
  const own = rows.filter((row) => row.d === d);
  section.chart(
    `Thresholds of normal keys, d = ${d}`,
    lineChart(`Thresholds b over the number of normal keys, d = ${d}`, { x: 'keys n', y: 'logit' }, [
      { name: "paper's b", points: own.map((row) => [row.n, row.paper]) },
      { name: 'largest logit of all', points: own.map((row) => [row.n, row.largest]) },
      { name: 'b = √(0.4 ln n)', points: own.map((row) => [row.n, row.plain]) },
      { name: 'n^0.8 keys pass', points: own.map((row) => [row.n, row.tight]) },
    ]),
  );
  const over = rows.flatMap((row) => row.passed.filter((count) => count > row.limit)).length;
  const passed = rows.flatMap((row) => row.passed);
  const none = passed.filter((count) => count === 0).length;
  const shares = rows.map((row) => row.tight / row.paper);
  if (over > 0) section.says(`The sparsity lemma failed by simulation: ${over} of ${passed.length} queries had more than 2 n^0.8 keys.`);
  else
    section.says(
      `The sparsity lemma holds by simulation (${passed.length} queries), but at the paper's b ${none === passed.length ? 'not one key passed' : `no key passed for ${none} of the queries`}: it lies at ` +
        `${significant(Math.min(...rows.map((row) => row.paper / row.largest)), 2)} to ${significant(Math.max(...rows.map((row) => row.paper / row.largest)), 2)} times the largest logit there was. ` +
        `What admits n^0.8 keys is ${percent(Math.min(...shares), 0)} to ${percent(Math.max(...shares), 0)} % of it.`,
    );
}

/** @param {string} keys */
const realText = (keys) =>
  `The same on real keys and queries (${keys}; m is their number, σ the root of the mean square of a head's coordinates as measured). ` +
  `The last column is the b of each single query that n^0.8 keys pass, in units of σ_q σ_k √(0.4 ln n): where one threshold fits all, it is the same for all.`;

/** @param {import('../captured.js').CapturedHead[]} heads KV heads of one layer @returns {RealQuery[]} */
function measureLayer(heads) {
  return heads.flatMap(({ layer, headDim, keys, queries }) => {
    const n = keys.length / headDim;
    const group = queries[0].length / headDim;
    return Array.from({ length: group }, (_, g) => queries.map((step) => split(step, headDim)[g])).flatMap((own) => {
      const [sigmaQ, sigmaK] = [rms(own.flatMap((q) => Array.from(q))), rms(keys)];
      const paper = reluThreshold({ n, d: headDim, m: own.length, delta: DELTA, sigmaQ, sigmaK });
      const plain = plainThreshold(n, sigmaQ * sigmaK);
      return own.map((q) => {
        const logits = logitsOf(q, keys);
        const weights = softmaxWeights(logits);
        const sum = (/** @type {number} */ b) => weights.reduce((all, weight, i) => all + (logits[i] >= b ? weight : 0), 0);
        return {
          layer,
          n,
          paper,
          largest: largest(logits),
          passed: countFrom(logits, paper),
          mass: sum(paper) / sum(-Infinity),
          plain,
          plainPassed: countFrom(logits, plain),
          own: bisectThreshold([logits], n ** POWER),
        };
      });
    });
  });
}

/** @param {number[]} values @param {number} [digits] */
const spread = (values, digits = 3) =>
  [Math.min(...values), median(values), Math.max(...values)].map((x) => significant(x, digits)).join(' / ');

/** @param {import('../section.js').Section} section @param {RealQuery[][]} layers */
function describeReal(section, layers) {
  const { n } = layers[0][0];
  section.table(
    `Keys that pass, of ${n} real keys: 2 n^0.8 = ${Math.round(2 * n ** POWER)} (least / median / most of a query)`,
    ['layer', 'queries', "paper's b", 'largest logit', "pass paper's b", 'report no key %', "softmax mass above paper's b %", 'pass plain b', 'own b / plain b'], // prettier-ignore
    layers.map((rows) => [
      rows[0].layer,
      rows.length,
      spread(rows.map((row) => row.paper)),
      spread(rows.map((row) => row.largest)),
      spread(rows.map((row) => row.passed)),
      percent(mean(rows.map((row) => Number(row.passed === 0))), 0),
      percent(mean(rows.map((row) => row.mass)), 1),
      spread(rows.map((row) => row.plainPassed)),
      spread(
        rows.map((row) => row.own / row.plain),
        2,
      ),
    ]),
  );
  const all = layers.flat();
  const over = all.filter((row) => row.passed > 2 * n ** POWER).length;
  const empty = mean(all.map((row) => Number(row.passed === 0)));
  const plain = all.map((row) => row.plainPassed);
  if (over > 0)
    section.says(`On ${n} real keys ${over} of ${all.length} queries have more than 2 n^0.8 keys at the paper's b: they are not normal.`);
  if (empty > 0)
    section.says(
      `On ${n} real keys ${percent(empty, 0)} % of the queries have no key at all at the paper's b with measured deviations, and the keys that pass hold ${percent(mean(all.map((row) => row.mass)), 1)} % of the softmax mass on average: ReLU attention with this b is zero where none passes.`,
    );
  const own = all.map((row) => row.own / row.plain);
  if (Math.max(...plain) > 2 * n ** POWER || Math.min(...plain) < n ** POWER / 10)
    section.says(
      `Deviations do not tell which threshold picks n^0.8 of ${n} real keys: at σ_q σ_k √(0.4 ln n) between ${Math.min(...plain)} and ${Math.max(...plain)} pass instead of ${Math.round(n ** POWER)}, as the b that each query needs lies at ${significant(Math.min(...own), 2)} to ${significant(Math.max(...own), 2)} times that.`,
    );
}
