/** How an answer was computed, in words. */

/**
 * @typedef {import('../../web/engine.js').GenerateStats} GenerateStats
 * @typedef {import('../app.js').Settings['attention']} AttentionOptions
 */

/** @param {number} value @param {number} digits significant ones */
const significant = (value, digits) => Number(value.toPrecision(digits)).toString();

/**
 * @param {GenerateStats} stats
 * @param {AttentionOptions} attention
 */
export function figures({ generatedTokens, decodeMs, attention: did }, { mode = 'hsr', strength }) {
  const parts = [`${generatedTokens} ${generatedTokens === 1 ? 'token' : 'tokens'}`];
  if (decodeMs.length > 0) {
    const sum = decodeMs.reduce((a, b) => a + b, 0);
    const median = decodeMs.toSorted((a, b) => a - b)[decodeMs.length >> 1];
    parts.push(`${significant(median, 3)} ms per token (median)`, `${significant((1000 * decodeMs.length) / sum, 3)} tokens per second`);
    parts.push(`${significant(100 * did.exactFraction, 3)} % of the keys evaluated exactly`);
  }
  const text = `${parts.join(', ')}.`;
  if (mode !== 'hsr' || strength !== 'certified' || did.queries === 0) return text;
  const [most, mean, relative] = [did.errorMax, did.errorMean, 100 * did.errorRelativeMean].map((value) => significant(value, 2));
  return `${text} Certificate: no attention output is off by more than ${most}, ${mean} on average, which is ${relative} % of its length.`;
}
