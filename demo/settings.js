/** What can be set, in words and texts as a form has them, and how these become the settings of the page. */

/**
 * @typedef {import('./app.js').Settings} Settings
 * @typedef {Record<string, string>} Flat the value of each field of the form
 *
 * @typedef {object} Choice
 * @property {string} label
 * @property {string} hint
 * @property {[string, string][]} options value and words
 *
 * @typedef {object} Numeric
 * @property {string} label
 * @property {string} hint
 * @property {(value: string) => string} problem empty: there is none
 */

/** @type {Record<string, Choice>} */
export const CHOICES = {
  strength: {
    label: 'Strength',
    hint: 'How surely the words that matter are found. Dense looks at every word; fast estimates; certified proves a bound on the error; exact finds the largest for sure.',
    options: [
      ['dense', 'Dense: every word'],
      ['fast', 'Fast: an estimate (default)'],
      ['certified', 'Certified: a proven bound'],
      ['exact', 'Exact: the largest r'],
    ],
  },
  farField: {
    label: 'Far field',
    hint: 'Words that are not looked at one by one still act together, through averages. Second order also counts how they spread.',
    options: [
      ['second', 'On, second order'],
      ['first', 'On, first order'],
      ['off', 'Off: they are dropped'],
    ],
  },
  kv: {
    label: 'Cache',
    hint: 'How what was read is kept: q8 takes a quarter of the memory, f32 is the most precise. Takes effect when the model is loaded.',
    options: [
      ['q8', 'q8: 8 bits (default)'],
      ['f32', 'f32: 32 bits'],
    ],
  },
};

/** @type {Record<string, Numeric>} */
export const NUMBERS = {
  eps: {
    label: 'Error bound (eps)',
    hint: 'Largest error, relative to the longest value: smaller is truer and slower. 0.0001 to 1.',
    problem: (value) => numberProblem(value, 1e-4, 1),
  },
  r: {
    label: 'Words looked at (r)',
    hint: 'How many words each head looks at. Empty: n to the power 4/5, as in the paper.',
    problem: (value) => (value === '' ? '' : numberProblem(value, 1, 2 ** 24, true)),
  },
  threads: {
    label: 'Threads',
    hint: 'Processor cores at work: “auto”, or 1 to 16. The answers are the same. Takes effect when the model is loaded.',
    problem: (value) =>
      value === 'auto' || !numberProblem(value, 1, 16, true) ? '' : 'This must be auto, or a whole number from 1 to 16.',
  },
  ctx: {
    label: 'Context',
    hint: 'Tokens (pieces of words) that document, questions and answers may have together. Takes effect with the next document.',
    problem: (value) => numberProblem(value, 64, 131072, true),
  },
  temperature: {
    label: 'Temperature',
    hint: '0 always takes the likeliest word; larger values vary more.',
    problem: (value) => numberProblem(value, 0, 10),
  },
  topP: {
    label: 'Top-p',
    hint: 'Only the likeliest words that together have this share are drawn from; 1 takes all.',
    problem: (value) => numberProblem(value, 0, 1),
  },
  seed: {
    label: 'Seed',
    hint: 'The same seed draws the same answer again.',
    problem: (value) => numberProblem(value, 0, Number.MAX_SAFE_INTEGER, true),
  },
  maxTokens: {
    label: 'Longest answer',
    hint: 'In tokens.',
    problem: (value) => numberProblem(value, 1, 4096, true),
  },
};

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 4 });

/**
 * @param {string} value
 * @param {number} least
 * @param {number} most
 * @param {boolean} [whole]
 * @returns {string}
 */
function numberProblem(value, least, most, whole = false) {
  const number = value === '' ? NaN : Number(value);
  const allowed = number >= least && number <= most && (!whole || Number.isInteger(number));
  return allowed ? '' : `This must be a ${whole ? 'whole ' : ''}number from ${NUMBER.format(least)} to ${NUMBER.format(most)}.`;
}

/** @param {Settings} settings @returns {Flat} */
export function flatOf({ attention, sampler, maxTokens, systemPrompt, kv, threads, ctx }) {
  const { mode, strength = 'fast', eps = 0.1, r = '', farField = true } = attention;
  return {
    strength: mode === 'dense' ? 'dense' : strength,
    eps: String(eps),
    r: String(r),
    farField: farField === false ? 'off' : farField === true ? 'second' : farField,
    kv,
    threads: String(threads),
    ctx: String(ctx),
    temperature: String(sampler.temperature),
    topP: String(sampler.topP),
    seed: String(sampler.seed),
    maxTokens: String(maxTokens),
    systemPrompt,
  };
}

/** @param {Flat} flat without problems @returns {Settings} */
export function settingsOf({ strength, eps, r, farField, kv, threads, ctx, temperature, topP, seed, maxTokens, systemPrompt }) {
  return {
    attention: attentionOf({ strength, eps, r, farField }),
    sampler: { temperature: Number(temperature), topP: Number(topP), seed: Number(seed) },
    maxTokens: Number(maxTokens),
    systemPrompt,
    kv: kv === 'f32' ? 'f32' : 'q8',
    threads: threads === 'auto' ? 'auto' : Number(threads),
    ctx: Number(ctx),
  };
}

/** @param {Flat} flat @returns {Settings['attention']} */
function attentionOf({ strength, eps, r, farField }) {
  if (strength === 'dense') return { mode: 'dense' };
  /** @type {Settings['attention']['farField']} */
  const far = farField === 'off' ? false : farField === 'first' ? 'first' : 'second';
  const common = { mode: /** @type {const} */ ('hsr'), farField: far };
  if (strength === 'certified') return { ...common, strength, eps: Number(eps) };
  if (strength === 'exact') return { ...common, strength, ...(r !== '' && { r: Number(r) }) };
  return { ...common, strength: 'fast' };
}
