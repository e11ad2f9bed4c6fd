/** Quality against r: the paper's top-r, ours without and with far field; and how sparse each layer is. */
import { lineChart } from '../../../web/cli/bench/chart.js';
import { mean, percent, round, significant } from '../../../web/cli/numbers.js';
import { Following } from '../following.js';

/**
 * @typedef {import('../section.js').Section} Section
 * @typedef {import('../section.js').Setting} Setting
 * @typedef {import('../following.js').Quality} Quality
 * @typedef {{r: number, quality: Quality}} Row
 * @typedef {{all: number[], layers: number[][]}} Figure of each head: over its steps the mean; by layer
 */

const SIZES = {
  full: { keys: 8000, tokens: 64, looked: 16, powers: Array.from({ length: 12 }, (_, i) => i + 2) },
  quick: { keys: 2000, tokens: 8, looked: 4, powers: [2, 4, 6, 8, 11] },
};
/** However short the context, and however many leaves are opened. */
const HSR = { denseBelow: 0, denseAbove: 1 };
const WAYS = /** @type {const} */ ([
  ['exact', 'the r keys of the largest logits, the others dropped (the paper)', { ...HSR, strength: 'exact' }],
  ['fast, dropped', 'ours, fast, the others dropped', { ...HSR, farField: false }],
  ['fast, far field', 'ours, fast, the others in the far field', HSR],
]);
/** What a user would not notice. */
const FINE_KL = 1e-3;
const NOTICEABLE_RISE = 1.1;

/** @param {Section} section @param {Setting} setting */
export async function run(section, setting) {
  const { keys, tokens, looked, powers } = SIZES[setting.quick ? 'quick' : 'full'];
  const following = await Following.open(setting, { keys, tokens });
  try {
    const paper = Math.ceil(keys ** 0.8);
    const rs = [...powers.map((power) => 2 ** power), paper].sort((a, b) => a - b);
    const dense = await following.quality(tokens, { mode: 'dense' });
    section.text(
      `The ${tokens} tokens after ${keys} of ${setting.file.split('/').at(-1)}, all layers and heads of the model replaced, the same ` +
        `tokens fed to each. Dense attention has perplexity ${round(dense.perplexity, 3)}; KL and top token are against it. ` +
        '"exact %" is the share of the keys that a query evaluates exactly; ours evaluates a key for all queries that share it, and ' +
        'always the first 16 and newest ones, so it is above r / n for small r and below it where few leaves are opened.',
    );
    /** @type {Row[][]} */
    const found = [];
    for (const [name, , attention] of WAYS) {
      /** @type {Row[]} */
      const rows = [];
      for (const r of rs) rows.push({ r, quality: await following.quality(tokens, { ...attention, r }) });
      setting.log(name);
      found.push(rows);
    }
    describeSweep(section, paper, found);
    sayQuality(section, { keys, paper, dense, found });
    await describeLayers(section, following, { keys, looked, paper });
  } finally {
    following.close();
  }
}

/** @param {Section} section @param {number} paper @param {Row[][]} found by way */
function describeSweep(section, paper, found) {
  const mark = (/** @type {number} */ r) => (r === paper ? `${r} = n^0.8` : String(r));
  for (const [w, [, title]] of WAYS.entries())
    section.table(
      `r keys: ${title}`,
      ['r', 'exact %', 'ppl', 'KL', 'top-1 %'],
      found[w].map(({ r, quality: { stats, perplexity, kl, top1 } }) => [
        mark(r),
        percent(stats.exactFraction),
        round(perplexity, 3),
        significant(kl, 2),
        percent(top1, 1),
      ]),
    );
  section.chart(
    'KL against r',
    lineChart(`KL against dense attention (${paper} = n^0.8)`, { x: 'r', y: 'KL' }, [
      ...WAYS.map(([name], w) => ({ name, points: pointsOf(found[w], paper) })),
    ]),
  );
}

/**
 * A logarithmic axis has no zero, and no room for two numbers in one place.
 * @param {Row[]} rows
 * @param {number} paper
 * @returns {[number, number][]}
 */
const pointsOf = (rows, paper) =>
  rows.filter(({ r }) => r === paper || Math.abs(Math.log2(r / paper)) > 0.5).map(({ r, quality }) => [r, Math.max(quality.kl, 1e-7)]);

/** @param {Row[]} rows */
const firstFine = (rows) => rows.find((row, i) => rows.slice(i).every(({ quality }) => quality.kl < FINE_KL));

/**
 * @param {Section} section
 * @param {{keys: number, paper: number, dense: Quality, found: Row[][]}} figures
 */
function sayQuality(section, { keys, paper, dense, found }) {
  const [exact, dropped, far] = found;
  const at = (/** @type {Row[]} */ rows) => /** @type {Row} */ (rows.find(({ r }) => r === paper)).quality;
  if (at(exact).kl >= FINE_KL) {
    const fine = firstFine(exact);
    section.says(
      `Top-r as the paper has it, with its r = n^0.8 = ${paper} of ${keys} keys, is off by KL ${significant(at(exact).kl, 2)} ` +
        `(perplexity ${round(at(exact).perplexity, 2)} for ${round(dense.perplexity, 2)}); ` +
        (fine ? `KL stays below ${FINE_KL} only from r = ${fine.r} on` : `no r that was tried keeps KL below ${FINE_KL}`) +
        ', so at this length n^0.8 is too few where the rest is dropped.',
    );
  }
  const last = far[far.length - 1].quality;
  const lastDropped = dropped[dropped.length - 1].quality;
  if (lastDropped.kl >= FINE_KL)
    section.says(
      `Without far field our fast strength has a floor: it opens the leaves that look promising and no r brings back the others; KL ` +
        `is ${significant(lastDropped.kl, 2)} at r = ${dropped[dropped.length - 1].r}, against ${significant(last.kl, 2)} with far field.`,
    );
  const risen = far.filter(({ quality: { kl } }, i) => i > 0 && kl > NOTICEABLE_RISE * far[i - 1].quality.kl && kl > FINE_KL / 10);
  if (risen.length > 0)
    section.says(
      `With far field more keys are not always better: KL is larger at r = ${risen.map(({ r }) => r).join(', ')} than at the r before ` +
        `(${significant(risen[risen.length - 1].quality.kl, 2)} at the last of them); the estimates for what is not read exactly limit it then, not r.`,
    );
  const worse = far.filter(({ quality }, i) => quality.kl > exact[i].quality.kl && quality.kl > FINE_KL / 10);
  if (worse.length > 0)
    section.says(
      `Exact top-r is closer to dense than ours with far field at r = ${worse.map(({ r }) => r).join(', ')}, ` +
        `where ours has KL ${significant(worse[worse.length - 1].quality.kl, 2)} at the last of them.`,
    );
}

/**
 * @param {Section} section
 * @param {Following} following
 * @param {{keys: number, looked: number, paper: number}} size
 */
async function describeLayers(section, following, { keys, looked, paper }) {
  const { layers, kvHeads, group } = following.shape;
  const sums = Array.from({ length: layers * kvHeads * group }, () => ({ needed90: 0, needed99: 0, paper: 0 }));
  await following.observe(looked, (step) => {
    for (let g = 0; g < step.group; g++) {
      const sum = sums[step.index * step.group + g];
      const sparsity = sparsityOf(step.logits(g), paper);
      sum.needed90 += sparsity.needed90 / looked;
      sum.needed99 += sparsity.needed99 / looked;
      sum.paper += sparsity.paper / looked;
    }
  });
  const rows = Array.from({ length: layers }, (_, layer) => {
    const heads = sums.slice(layer * kvHeads * group, (layer + 1) * kvHeads * group);
    const [of90, of99, held] = [heads.map((h) => h.needed90), heads.map((h) => h.needed99), heads.map((h) => h.paper)];
    return { layer, of90, of99, held };
  });
  section.text(
    `How sparse the layers are: keys that hold 90 % and 99 % of a query's softmax mass, and the mass in its largest n^0.8 = ${paper}, ` +
      `over ${looked} tokens after ${keys} others, by head: the mean of the layer's heads and the worst of them.`,
  );
  section.table(
    'Sparsity by layer',
    ['layer', 'keys for 90 %', 'worst head', 'keys for 99 %', 'worst head', 'mass in n^0.8 %', 'worst head'],
    rows.map(({ layer, of90, of99, held }) => [
      layer,
      Math.round(mean(of90)),
      Math.round(Math.max(...of90)),
      Math.round(mean(of99)),
      Math.round(Math.max(...of99)),
      percent(mean(held), 1),
      percent(Math.min(...held), 1),
    ]),
  );
  const short = sums.filter(({ needed99 }) => needed99 > paper);
  const worst = sums.reduce((least, sum, i) => (sum.paper < sums[least].paper ? i : least), 0);
  if (short.length > 0)
    section.says(
      `The paper's n^0.8 = ${paper} keys hold less than 99 % of the mass in ${short.length} of ${sums.length} heads, and ` +
        `${percent(sums[worst].paper, 0)} % in the worst (layer ${Math.floor(worst / (kvHeads * group))}), which needs ` +
        `${Math.round(sums[worst].needed99)} of ${keys} keys for 99 %: sparsity is not the same everywhere, and one r for all heads does not fit.`,
    );
}

/**
 * @param {Float32Array} logits
 * @param {number} r
 * @returns {{needed90: number, needed99: number, paper: number}} keys that hold 90 and 99 % of the softmax mass; mass of the largest r
 */
export function sparsityOf(logits, r) {
  const sorted = logits.slice().sort().reverse();
  const weights = Float64Array.from(sorted, (x) => Math.exp(x - sorted[0]));
  const total = weights.reduce((a, b) => a + b, 0);
  const needed = (/** @type {number} */ share) => {
    let held = 0;
    for (let i = 0; i < weights.length; i++) {
      held += weights[i];
      if (held >= share * total) return i + 1;
    }
    return weights.length;
  };
  return { needed90: needed(0.9), needed99: needed(0.99), paper: weights.subarray(0, r).reduce((a, b) => a + b, 0) / total };
}
