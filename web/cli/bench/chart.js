/** Charts as SVG: for reports, without any library. The axes of lines are logarithmic, as times and lengths span orders of magnitude. */

const [WIDTH, HEIGHT] = [760, 420];
const PLOT = { left: 64, right: 540, top: 40, bottom: 370 };
const COLOURS = ['#0b6e4f', '#c1440e', '#2f5fa8', '#8a4fad', '#b58900', '#555555', '#d33682', '#268bd2'];

/**
 * @typedef {{name: string, points: [number, number][]}} Series of positive numbers
 */

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/**
 * Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten that lie within.
 * @param {number} least
 * @param {number} most
 */
function ticks(least, most) {
  const all = [];
  for (let power = Math.floor(Math.log10(least)); 10 ** power <= most; power++) all.push(...[1, 2, 5].map((x) => x * 10 ** power));
  return all.filter((x) => x >= least && x <= most);
}

/**
 * @param {string} title
 * @param {{x: string, y: string}} axes their labels
 * @param {Series[]} series
 * @returns {string}
 */
export function lineChart(title, axes, series) {
  const points = series.flatMap((line) => line.points);
  const xs = [...new Set(points.map(([x]) => x))].toSorted((a, b) => a - b);
  const ys = points.map(([, y]) => y);
  const range = { x: [xs[0] / 1.1, xs[xs.length - 1] * 1.1], y: [Math.min(...ys) / 1.3, Math.max(...ys) * 1.3] };
  const at = (/** @type {number} */ value, /** @type {number[]} */ [from, to]) => Math.log(value / from) / Math.log(to / from);
  const px = (/** @type {number} */ x) => (PLOT.left + (PLOT.right - PLOT.left) * at(x, range.x)).toFixed(1);
  const py = (/** @type {number} */ y) => (PLOT.bottom - (PLOT.bottom - PLOT.top) * at(y, range.y)).toFixed(1);
  const text = (/** @type {number | string} */ x, /** @type {number | string} */ y, /** @type {string} */ content, attributes = '') =>
    `<text x="${x}" y="${y}" ${attributes}>${escaped(content)}</text>`;
  const parts = [
    text(PLOT.left, 22, title, 'font-size="15" font-weight="bold"'),
    text((PLOT.left + PLOT.right) / 2, HEIGHT - 12, axes.x, 'text-anchor="middle"'),
    text(16, (PLOT.top + PLOT.bottom) / 2, axes.y, `text-anchor="middle" transform="rotate(-90 16 ${(PLOT.top + PLOT.bottom) / 2})"`),
    ...ticks(range.y[0], range.y[1]).flatMap((y) => [
      `<line x1="${PLOT.left}" x2="${PLOT.right}" y1="${py(y)}" y2="${py(y)}" stroke="#ddd"/>`,
      text(PLOT.left - 6, py(y), String(Number(y.toPrecision(3))), 'text-anchor="end" dominant-baseline="middle"'),
    ]),
    ...xs.flatMap((x) => [
      `<line x1="${px(x)}" x2="${px(x)}" y1="${PLOT.top}" y2="${PLOT.bottom}" stroke="#eee"/>`,
      text(px(x), PLOT.bottom + 18, String(x), 'text-anchor="middle"'),
    ]),
    ...series.flatMap(({ name, points: line }, i) => {
      const colour = COLOURS[i % COLOURS.length];
      const y = PLOT.top + 12 + 20 * i;
      return [
        `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${line.map(([x, v]) => `${px(x)},${py(v)}`).join(' ')}"/>`,
        ...line.map(([x, v]) => `<circle cx="${px(x)}" cy="${py(v)}" r="3.5" fill="${colour}"/>`),
        `<line x1="${PLOT.right + 16}" x2="${PLOT.right + 40}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="3"/>`,
        text(PLOT.right + 46, y, name, 'dominant-baseline="middle"'),
      ];
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${parts.join('\n')}
</svg>
`;
}

const BAR = { height: 18, gap: 6, left: 230, top: 40 };

/**
 * Horizontal bars from zero, each with its value beside it.
 * @param {string} title
 * @param {{name: string, value: number}[]} bars of values from 0 on
 * @returns {string}
 */
export function barChart(title, bars) {
  const height = BAR.top + bars.length * (BAR.height + BAR.gap) + BAR.gap;
  const most = Math.max(...bars.map(({ value }) => value));
  const lines = bars.map(({ name, value }, i) => {
    const y = BAR.top + i * (BAR.height + BAR.gap);
    const width = most > 0 ? ((WIDTH - BAR.left - 70) * value) / most : 0;
    const middle = `y="${y + BAR.height / 2}" dominant-baseline="middle"`;
    return `<text x="${BAR.left - 8}" ${middle} text-anchor="end">${escaped(name)}</text>
<rect x="${BAR.left}" y="${y}" width="${width.toFixed(1)}" height="${BAR.height}" fill="${COLOURS[0]}"/>
<text x="${(BAR.left + width + 6).toFixed(1)}" ${middle}>${value}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="white"/>
<text x="16" y="22" font-size="15" font-weight="bold">${escaped(title)}</text>
${lines.join('\n')}
</svg>
`;
}
