/** Charts as SVG: for reports, without any library. The axes of lines are logarithmic unless said, as times and lengths span orders of magnitude. */

const [WIDTH, HEIGHT] = [760, 420];
const PLOT = { left: 64, right: 540, top: 40, bottom: 370 };
const COLOURS = ['#0b6e4f', '#c1440e', '#2f5fa8', '#8a4fad', '#b58900', '#555555', '#d33682', '#268bd2'];

/** Values that each get a tick of their own; where there are more, ticks are round numbers. */
const MOST_TICKS = 12;

/**
 * @typedef {{name: string, points: [number, number][], dots?: boolean}} Series of positive numbers, on a linear axis of any; dots: not
 *   joined by a line, small, one for each pixel
 * @typedef {{x?: boolean, y?: boolean}} Linear which axes are
 */

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** A number at a tick. @param {number} x */
const tick = (x) => (x !== 0 && Math.abs(x) < 1e-3 ? x.toExponential() : String(Number(x.toPrecision(8))));

/**
 * Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten that lie within, of many decades the powers alone.
 * @param {number} least
 * @param {number} most
 */
function ticks(least, most) {
  const steps = most / least > 1e5 ? [1] : [1, 2, 5];
  const all = [];
  for (let power = Math.floor(Math.log10(least)); 10 ** power <= most; power++) all.push(...steps.map((x) => Number(`${x}e${power}`)));
  return all.filter((x) => x >= least && x <= most);
}

/**
 * Ticks of a linear axis: multiples of 1, 2 or 5 times a power of ten that lie within, five to twelve or so.
 * @param {number} least
 * @param {number} most
 */
function linearTicks(least, most) {
  const power = 10 ** Math.floor(Math.log10((most - least) / 5));
  const step = power * ([5, 2].find((x) => x * power <= (most - least) / 5) ?? 1);
  const first = Math.ceil(least / step);
  return Array.from({ length: Math.floor(most / step) - first + 1 }, (_, i) => (first + i) * step);
}

/**
 * An axis of values with a little room around them.
 * @param {number[]} values
 * @param {boolean} linear
 * @param {number} room factor, and on a linear axis about as much of its length
 */
function axis(values, linear, room) {
  const outside = linear ? undefined : values.find((x) => !(x > 0));
  if (outside !== undefined) throw new RangeError(`a logarithmic axis takes numbers above 0, not ${outside}`);
  const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const margin = ((most - least || 1) * (room - 1)) / 5;
  const [from, to] = linear ? [least - margin, most + margin] : [least / room, most * room];
  return {
    /** @param {number} value @returns {number} where it lies, 0..1 */
    at: (value) => (linear ? (value - from) / (to - from) : Math.log(value / from) / Math.log(to / from)),
    ticks: linear ? linearTicks(from, to) : ticks(from, to),
  };
}

/** Dots as one path of short strokes, those of a pixel as one. @param {string[]} places 'x y' @param {string} colour */
function dotsPath(places, colour) {
  const path = [...new Set(places)].map((place) => `M${place}h0`).join('');
  return `<path fill="none" stroke="${colour}" stroke-width="2.5" stroke-linecap="round" d="${path}"/>`;
}

/**
 * @param {string} title
 * @param {{x: string, y: string}} axes their labels
 * @param {Series[]} series
 * @param {Linear} [linear]
 * @returns {string}
 */
export function lineChart(title, axes, series, linear = {}) {
  const points = series.flatMap((line) => line.points);
  const own = [...new Set(points.map(([x]) => x))].toSorted((a, b) => a - b);
  const [horizontal, vertical] = [axis(own, linear.x ?? false, 1.1), axis(points.map(([, y]) => y), linear.y ?? false, 1.3)]; // prettier-ignore
  const xs = own.length > MOST_TICKS ? horizontal.ticks : own;
  const px = (/** @type {number} */ x) => (PLOT.left + (PLOT.right - PLOT.left) * horizontal.at(x)).toFixed(1);
  const py = (/** @type {number} */ y) => (PLOT.bottom - (PLOT.bottom - PLOT.top) * vertical.at(y)).toFixed(1);
  const text = (/** @type {number | string} */ x, /** @type {number | string} */ y, /** @type {string} */ content, attributes = '') =>
    `<text x="${x}" y="${y}" ${attributes}>${escaped(content)}</text>`;
  const parts = [
    text(PLOT.left, 22, title, 'font-size="15" font-weight="bold"'),
    text((PLOT.left + PLOT.right) / 2, HEIGHT - 12, axes.x, 'text-anchor="middle"'),
    text(16, (PLOT.top + PLOT.bottom) / 2, axes.y, `text-anchor="middle" transform="rotate(-90 16 ${(PLOT.top + PLOT.bottom) / 2})"`),
    ...vertical.ticks.flatMap((y) => [
      `<line x1="${PLOT.left}" x2="${PLOT.right}" y1="${py(y)}" y2="${py(y)}" stroke="#ddd"/>`,
      text(PLOT.left - 6, py(y), tick(y), 'text-anchor="end" dominant-baseline="middle"'),
    ]),
    ...xs.flatMap((x) => [
      `<line x1="${px(x)}" x2="${px(x)}" y1="${PLOT.top}" y2="${PLOT.bottom}" stroke="#eee"/>`,
      text(px(x), PLOT.bottom + 18, tick(x), 'text-anchor="middle"'),
    ]),
    ...series.flatMap(({ name, points: line, dots = false }, i) => {
      const colour = COLOURS[i % COLOURS.length];
      const y = PLOT.top + 12 + 20 * i;
      const joined = () => [
        `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${line.map(([x, v]) => `${px(x)},${py(v)}`).join(' ')}"/>`,
        ...line.map(([x, v]) => `<circle cx="${px(x)}" cy="${py(v)}" r="3.5" fill="${colour}"/>`),
      ];
      const pixel = (/** @type {[number, number]} */ [x, v]) => `${Math.round(Number(px(x)))} ${Math.round(Number(py(v)))}`;
      return [
        ...(dots ? [dotsPath(line.map(pixel), colour)] : joined()),
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
