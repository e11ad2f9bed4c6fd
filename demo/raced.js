/** Which attention is measured against dense. */

/**
 * The settings' own; where these say dense, hsr with the rest of them.
 * @param {import('./app.js').Settings} settings
 */
export function racedAttention({ attention }) {
  return attention.mode === 'dense' ? { ...attention, mode: /** @type {const} */ ('hsr') } : attention;
}

/** In words. @param {import('./app.js').Settings} settings */
export function racedName(settings) {
  const { mode, strength = 'fast', farField = strength !== 'exact' } = racedAttention(settings);
  return mode === 'relu' ? 'relu' : `hsr, ${strength}, far field ${farField ? 'on' : 'off'}`;
}
