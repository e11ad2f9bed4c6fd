/** Lines over context lengths, dense and hsr told apart by colour, dashes and the shape of their points. */
import { element } from '../element.js';
import uPlot from 'uplot';

/** @typedef {[number[], ...(number | null)[][]]} Columns x, and y of each series: null where there is no point */
/** @typedef {{label: string, look: keyof typeof LOOKS}} Series */

const LOOKS = {
  dense: { colour: '--chart-dense', dash: [6, 4], square: true },
  hsr: { colour: '--chart-hsr', dash: [], square: false },
};
const HEIGHT = 260;
const POINT = 7;

/** @param {HTMLElement} within @param {string} name of a CSS variable */
function colour(within, name) {
  // Variables may say light-dark(), which only a property resolves.
  const probe = element('span', { hidden: true });
  probe.style.color = `var(${name})`;
  within.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** @param {uPlot} chart @param {number} series @param {number} from @param {number} to @returns {uPlot.Series.Points.Paths} */
function squares(chart, series, from, to) {
  const path = new Path2D();
  const size = POINT * devicePixelRatio;
  for (let i = from; i <= to; i++) {
    const y = chart.data[series][i];
    if (y === null || y === undefined) continue;
    const at = [chart.valToPos(chart.data[0][i], 'x', true), chart.valToPos(y, 'y', true)];
    path.rect(at[0] - size / 2, at[1] - size / 2, size, size);
  }
  return { fill: path, stroke: path };
}

export class Chart {
  /** @type {uPlot | undefined} */
  #plot;
  /** @type {Columns} */
  #data;
  #options;

  /**
   * @param {HTMLElement} parent that it goes into
   * @param {{x: string, y: string, series: Series[]}} options x, y: what the axes say
   */
  constructor(parent, options) {
    this.#options = options;
    this.#data = [[], ...options.series.map(() => [])];
    this.element = element('div', { className: 'chart', role: 'img', 'aria-label': `${options.y} against ${options.x}` });
    parent.append(this.element);
    new ResizeObserver(() => this.#resize()).observe(this.element);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#plot?.destroy();
      this.#plot = undefined;
      this.#resize();
    });
  }

  /** @param {Columns} data @param {string} summary what someone who cannot see it is told */
  set(data, summary) {
    this.#data = data;
    this.element.setAttribute('aria-label', summary);
    if (this.#plot) this.#plot.setData(/** @type {any} */ (data));
    else this.#resize();
  }

  /** Made when it first has a width: its section may be hidden before. */
  #resize() {
    const width = this.element.clientWidth;
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else this.#plot = new uPlot(this.#uplotOptions(width), /** @type {any} */ (this.#data), this.element);
  }

  /** A little above the highest point. */
  #highest() {
    const heights = this.#data.slice(1).flatMap((ys) => ys.map((y) => y ?? 0));
    return 1.1 * heights.reduce((most, y) => Math.max(most, y), 0.1);
  }

  /** @param {number} width @returns {uPlot.Options} */
  #uplotOptions(width) {
    const { x, y, series } = this.#options;
    const ink = colour(this.element, '--ink');
    const grid = colour(this.element, '--line');
    const axis = (/** @type {string} */ label) => ({ label, stroke: ink, grid: { stroke: grid }, ticks: { stroke: grid } });
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: false }, y: { range: () => [0, this.#highest()] } },
      axes: [axis(x), axis(y)],
      cursor: { drag: { x: false, y: false } },
      series: [
        { label: x },
        ...series.map(({ label, look }) => {
          const { colour: name, dash, square } = LOOKS[look];
          const stroke = colour(this.element, name);
          return {
            label,
            stroke,
            dash,
            width: 2,
            spanGaps: true,
            points: { show: true, size: POINT, fill: stroke, ...(square && { paths: squares }) },
            value: (/** @type {uPlot} */ _, /** @type {number} */ value) => (value === null ? '–' : value.toFixed(2)),
          };
        }),
      ],
    };
  }

  /** As a PNG with its legend, on the page's background. @returns {Promise<Blob>} */
  png() {
    const canvas = /** @type {HTMLCanvasElement} */ (this.element.querySelector('canvas'));
    const scale = devicePixelRatio;
    const head = 28 * scale;
    const out = element('canvas', { width: canvas.width, height: canvas.height + head });
    const draw = /** @type {CanvasRenderingContext2D} */ (out.getContext('2d'));
    draw.fillStyle = colour(this.element, '--paper');
    draw.fillRect(0, 0, out.width, out.height);
    draw.drawImage(canvas, 0, head);
    draw.font = `${13 * scale}px system-ui, sans-serif`;
    draw.textBaseline = 'middle';
    let left = 12 * scale;
    for (const { label, look } of this.#options.series) {
      draw.strokeStyle = draw.fillStyle = colour(this.element, LOOKS[look].colour);
      draw.lineWidth = 2 * scale;
      draw.setLineDash(LOOKS[look].dash.map((x) => x * scale));
      draw.beginPath();
      draw.moveTo(left, head / 2);
      draw.lineTo(left + 30 * scale, head / 2);
      draw.stroke();
      draw.fillStyle = colour(this.element, '--ink');
      draw.fillText(label, left + 36 * scale, head / 2);
      left += 52 * scale + draw.measureText(label).width;
    }
    return new Promise((resolve, reject) =>
      out.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the chart did not become a PNG'))), 'image/png'),
    );
  }
}
