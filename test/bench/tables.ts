/** Results as grids of words: the same grid is printed to the terminal and written into docs/performance.md. */
import { ratios } from './bars.ts';
import { COLUMN_NAMES, KERNELS } from './plan.ts';
import { geometricMean, settled, type Figure, type Results, type Row, type Table } from './results.ts';

export interface Grid {
  title: string;
  head: string[];
  rows: string[][];
}
const BASE = 'translator';
type By = (f: Figure) => number | null;

const NAMES: Readonly<Record<string, { title: string; unit: 'ms' | 's' }>> = {
  kernels32: { title: 'Kernels in 32 bits', unit: 'ms' },
  kernels64: { title: 'Kernels in 64 bits', unit: 'ms' },
  boot: { title: 'Linux from the start of the machine to its shell', unit: 's' },
  'inside-686': { title: 'Programs in Linux 686', unit: 'ms' },
  'inside-amd64': { title: 'Programs in Linux amd64', unit: 'ms' },
};

function grid(title: string, unit: 'ms' | 's', table: Table, by: By, mean: boolean): Grid {
  const rows = Object.entries(table.rows);
  const present = COLUMN_NAMES.filter((c) => rows.some(([, row]) => c in row.columns || row.differs.includes(c)));
  // what is compared comes first
  const columns = [...present.filter((c) => c === BASE), ...present.filter((c) => c !== BASE)];
  const time = (ms: number): string => (unit === 's' ? (ms / 1000).toFixed(2) : ms.toFixed(1));
  const cell = (row: Row, column: string): string => {
    if (row.differs.includes(column)) return 'differs';
    const theirs = row.columns[column];
    const value = theirs ? by(theirs) : null;
    if (value === null) return '';
    const mine = row.columns[BASE] && by(row.columns[BASE]);
    return column === BASE || !mine ? time(value) : `${time(value)} (${(value / mine).toFixed(2)})`;
  };
  const head = ['', ...columns.map((c) => (c === columns[0] ? `${c}, ${unit}` : c))];
  const body = rows.map(([name, row]) => [name, ...columns.map((c) => cell(row, c))]);
  if (mean) {
    const line = (name: string, only?: readonly string[]): string[] => [
      name,
      ...columns.map((c) =>
        c === BASE ? '' : `(${geometricMean([...ratios(table, BASE, c, only).values()])?.toFixed(2) ?? '-'})`,
      ),
    ];
    const system = KERNELS.systemic.some((name) => name in table.rows);
    body.push(line(system ? 'geometric mean, computing' : 'geometric mean', system ? KERNELS.computing : undefined));
    if (system) body.push(line('geometric mean, all'));
  }
  return { title, head, rows: body };
}

/** One grid for each table and way of looking at it. */
export function grids(tables: Results['tables']): Grid[] {
  const out: Grid[] = [];
  for (const [name, { title, unit }] of Object.entries(NAMES)) {
    const table = tables[name];
    if (!table) continue;
    if (name === 'boot') {
      out.push(grid(`${title}: CPU time`, unit, table, settled, false));
      out.push(grid(`${title}: elapsed`, unit, table, (f) => f.steadyWall ?? f.firstWall, false));
      continue;
    }
    out.push(grid(`${title}: steady`, unit, table, settled, true));
    out.push(grid(`${title}: first repetition`, unit, table, (f) => f.first, false));
  }
  return out;
}

/** The bars beside what was reached. */
export function barsGrid(bars: Results['bars']): Grid {
  const rows = bars.map(({ issue, text, bar, reached, note }) => [
    text,
    String(issue),
    String(bar),
    reached === null ? 'not measured' : reached.toFixed(reached < 1 ? 2 : 1),
    reached === null ? '' : reached >= bar ? 'met' : 'missed',
    note,
  ]);
  return { title: 'Bars', head: ['times as fast as', 'issue', 'bar', 'reached', '', ''], rows };
}

const mebibytes = (v: number): string => `${(v / 2 ** 20).toFixed(1)} MiB`;
const milliseconds = (v: number): string => `${v.toFixed(v < 100 ? 1 : 0)} ms`;
/** The figures of the translating tier in words. Names are the tier's own; one that is not here is shown as it is. */
const FIGURES: Readonly<Record<string, readonly [words: string, show: (v: number) => string]>> = {
  milliseconds: ['translation, in whatever thread', milliseconds],
  longest: ['longest translation in one go', milliseconds],
  stalled: ['the guest waited for it, in all', milliseconds],
  longestStall: ['longest wait', milliseconds],
  instructions: ['guest instructions translated', String],
  codeBytes: ['bytes of WebAssembly', mebibytes],
  bytes: ['code cache, with metadata', mebibytes],
  modules: ['modules translated', String],
  loaded: ['modules from the archive', String],
  made: ['regions entered after a translation', String],
  reused: ['regions entered without one', String],
  regions: ['regions that can be entered at the end', String],
  invalidated: ['regions gone with their code', String],
  evicted: ['modules thrown away for want of room', String],
  refused: ['places not taken', String],
  anew: ['regions made anew with care', String],
};
export function translationGrid(translation: Results['translation']): Grid {
  const all = Object.entries(translation);
  const present = new Set(all.flatMap(([, figures]) => Object.keys(figures)));
  const names = [...Object.keys(FIGURES).filter((n) => present.has(n)), ...[...present].filter((n) => !(n in FIGURES))];
  const plain = (v: number): string => (Number.isInteger(v) ? String(v) : v.toFixed(1));
  return {
    title: 'Translation',
    head: ['', ...all.map(([title]) => title)],
    rows: names.map((name) => {
      const [words, show] = FIGURES[name] ?? [name, plain];
      return [words, ...all.map(([, figures]) => (figures[name] === undefined ? '' : show(figures[name])))];
    }),
  };
}

/** For a terminal: aligned columns. */
export function toText({ title, head, rows }: Grid): string {
  const width = head.map((h, n) => Math.max(h.length, ...rows.map((r) => (r[n] ?? '').length)));
  const line = (cells: string[]): string =>
    cells
      .map((c, n) => (n === 0 ? c.padEnd(width[n]!) : c.padStart(width[n]! + 2)))
      .join('')
      .trimEnd();
  return [title, line(head), ...rows.map(line)].join('\n');
}
/** For docs/performance.md. */
export function toMarkdown({ title, head, rows }: Grid): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  return [`### ${title}`, '', line(head), line(head.map((_, n) => (n === 0 ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  );
}
