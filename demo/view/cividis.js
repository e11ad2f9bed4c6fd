/** Shares as colours: cividis, a scale from dark blue to yellow that looks the same to colour-blind eyes, lighter all the way. */

const STOPS = [
  [0, 34, 78],
  [53, 69, 108],
  [102, 105, 112],
  [148, 142, 119],
  [200, 184, 102],
  [254, 232, 56],
];

/** Shares are spread by their root: most are small. @param {number} share 0..1 */
export function colourOf(share) {
  const at = Math.sqrt(Math.min(1, Math.max(0, share))) * (STOPS.length - 1);
  const i = Math.min(STOPS.length - 2, Math.floor(at));
  const rgb = STOPS[i].map((from, k) => Math.round(from + (at - i) * (STOPS[i + 1][k] - from)));
  const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  // Of black and white, the one with more contrast by WCAG's formula.
  return { paper: `rgb(${rgb.join(', ')})`, ink: (light + 0.05) ** 2 > 0.05 * 1.05 ? '#000' : '#fff' };
}
