/** Comparing next-token distributions given as logits. */

/** @param {Float32Array} logits */
function logSumExp(logits) {
  let peak = -Infinity;
  for (const x of logits) if (x > peak) peak = x;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - peak);
  return peak + Math.log(sum);
}

/**
 * Natural log of the probability of `id`.
 * @param {Float32Array} logits
 * @param {number} id
 */
export function logProbability(logits, id) {
  return logits[id] - logSumExp(logits);
}

/** @param {Float32Array} logits */
export function argmax(logits) {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

/**
 * KL(reference || other) in nats, and whether both have the same most probable token.
 * @param {Float32Array} reference
 * @param {Float32Array} other
 */
export function compareDistributions(reference, other) {
  const a = logSumExp(reference);
  const b = logSumExp(other);
  let kl = 0;
  for (let i = 0; i < reference.length; i++) kl += Math.exp(reference[i] - a) * (reference[i] - a - (other[i] - b));
  return { kl: Math.max(0, kl), sameTop: argmax(reference) === argmax(other) };
}
