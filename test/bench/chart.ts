/**
 * The chart of docs/performance.md: a mark for each row and column, at how many times as fast the translator is (logarithmic; right of the line
 * at 1 it is faster). Columns differ in shape as well as in colour; colours follow the reader's theme.
 */
import { ratios } from './bars.ts';
import type { Results } from './results.ts';

const PANELS: readonly [table: string, title: string][] = [
  ['kernels32', 'Kernels in 32 bits'],
  ['kernels64', 'Kernels in 64 bits'],
  ['boot', 'Linux to its shell'],
  ['inside-686', 'Programs in Linux 686'],
  ['inside-amd64', 'Programs in Linux amd64'],
];
type Mark = (x: number, y: number) => string;
const polygon =
  (...points: readonly [number, number][]): Mark =>
  (x, y) =>
    `<polygon points="${points.map(([dx, dy]) => `${(x + dx).toFixed(1)},${(y + dy).toFixed(1)}`).join(' ')}"/>`;
const SERIES: readonly { column: string; name: string; mark: Mark; light: string; dark: string; hollow?: boolean }[] = [
  {
    column: 'interpreter',
    name: 'our interpreter',
    light: '#54645d',
    dark: '#93a29d',
    mark: (x, y) => `<circle cx="${x.toFixed(1)}" cy="${y}" r="4"/>`,
    hollow: true,
  },
  {
    column: 'archive',
    name: 'translator with archive',
    light: '#5a8e5c',
    dark: '#17d98a',
    mark: polygon([0, 5], [5, -4], [-5, -4]),
    hollow: true,
  },
  {
    column: 'v86 nojit',
    name: 'v86 without its translator',
    light: '#134d99',
    dark: '#2a8bc9',
    mark: polygon([-4, -4], [4, -4], [4, 4], [-4, 4]),
    hollow: true,
  },
  { column: 'v86', name: 'v86', light: '#134d99', dark: '#2a8bc9', mark: polygon([-4, -4], [4, -4], [4, 4], [-4, 4]) },
  {
    column: 'qemu',
    name: 'QEMU (TCG)',
    light: '#935b00',
    dark: '#d6ac3c',
    mark: (x, y) => `<circle cx="${x.toFixed(1)}" cy="${y}" r="4.5"/>`,
  },
  {
    column: 'wasm',
    name: 'same C as WebAssembly',
    light: '#851e65',
    dark: '#ceb0f5',
    mark: polygon([0, -5.5], [5.5, 0], [0, 5.5], [-5.5, 0]),
  },
  { column: 'native', name: 'native', light: '#13201b', dark: '#e8eeeb', mark: polygon([0, -5], [5, 4], [-5, 4]) },
];
const WIDTH = 860;
const LEFT = 130;
const RIGHT = WIDTH - 30;
const ROW = 19;
/** Ratios beyond stand at the edge, with an arrow. */
const [LOW, HIGH] = [1 / 16, 64];
const TICKS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64];
const at = (value: number): number =>
  LEFT + ((Math.log2(Math.min(HIGH, Math.max(LOW, value))) - Math.log2(LOW)) / Math.log2(HIGH / LOW)) * (RIGHT - LEFT);
const tickName = (value: number): string => (value < 1 ? `1/${1 / value}` : String(value));
const className = (column: string): string => column.replace(' ', '-');

function style(): string {
  const series = (dark: boolean): string =>
    SERIES.map(({ column, light, dark: night, hollow }) => {
      const colour = dark ? night : light;
      return `.${className(column)}{fill:${hollow ? 'none' : colour};stroke:${colour}}`;
    }).join('');
  const theme = (ground: string, ink: string, quiet: string, line: string): string =>
    `.ground{fill:${ground}}text{fill:${ink}}.quiet{fill:${quiet}}.line{stroke:${line}}.one{stroke:${quiet}}`;
  return (
    `text{font:12px 'IBM Plex Sans',system-ui,sans-serif}.title{font-weight:600}.line{stroke-width:1}.one{stroke-width:1.5}` +
    `.mark{stroke-width:1.5}${theme('#fbfdfb', '#13201b', '#54645d', '#cad6cf')}${series(false)}` +
    `@media (prefers-color-scheme:dark){${theme('#1c2423', '#e8eeeb', '#93a29d', '#2b3735')}${series(true)}}`
  );
}
const text = (x: number, y: number, words: string, anchor = 'start', kind = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}"${kind && ` class="${kind}"`}>${words}</text>`;

/** @returns an SVG of 860 px width, as high as the results need */
export function chart({ tables }: Results): string {
  const parts: string[] = [];
  const used = new Set<string>();
  let y = 82;
  for (const [name, title] of PANELS) {
    const table = tables[name];
    if (!table) continue;
    const rows = Object.keys(table.rows);
    const columns = SERIES.map((s) => ({ ...s, values: ratios(table, 'translator', s.column) }));
    const [top, bottom] = [y + 26, y + 26 + rows.length * ROW];
    parts.push(text(16, y + 14, title, 'start', 'title'));
    for (const tick of TICKS) {
      parts.push(
        `<line class="${tick === 1 ? 'one' : 'line'}" x1="${at(tick).toFixed(1)}" x2="${at(tick).toFixed(1)}" y1="${top}" y2="${bottom}"/>`,
      );
      parts.push(text(at(tick), bottom + 15, tickName(tick), 'middle', 'quiet'));
    }
    rows.forEach((row, n) => {
      const middle = top + n * ROW + ROW / 2;
      parts.push(text(LEFT - 22, middle + 4, row, 'end'));
      for (const { column, mark, values } of columns) {
        const value = values.get(row);
        if (value === undefined) continue;
        used.add(column);
        parts.push(`<g class="mark ${className(column)}">${mark(at(value), middle)}</g>`);
        if (value > HIGH) parts.push(text(RIGHT + 8, middle + 4, '→', 'start', 'quiet'));
        if (value < LOW) parts.push(text(LEFT - 8, middle + 4, '←', 'middle', 'quiet'));
      }
    });
    y = bottom + 34;
  }
  let [x, line] = [16, 48];
  const legend = SERIES.filter(({ column }) => used.has(column)).map(({ column, name, mark }) => {
    const width = 32 + name.length * 7;
    if (x + width > WIDTH) [x, line] = [16, line + 20];
    const item = `<g class="mark ${className(column)}">${mark(x + 6, line)}</g>${text(x + 18, line + 4, name)}`;
    x += width;
    return item;
  });
  const title = 'How many times as fast our translator is: right of 1 it is faster (logarithmic)';
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="${title}">` +
    `<title>${title}</title><style>${style()}</style><rect class="ground" width="${WIDTH}" height="${y}" rx="6"/>` +
    `${text(16, 26, title, 'start', 'title')}${legend.join('')}${parts.join('')}</svg>\n`
  );
}
