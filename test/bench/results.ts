/** What results.json holds, and how samples become figures. Every column is treated alike. */
import type { Answer } from './job.ts';
import { BOOT, type Sample } from './marks.ts';
import { expectedResults } from './inside.ts';
import type { Run } from './plan.ts';

/**
 * One cell. `first`: median, over the processes, of each one's first repetition, warm-up and all. `steady`: median of all later ones; null
 * where a process does it only once (a boot). Milliseconds of CPU time of all threads, and elapsed.
 */
export interface Figure {
  first: number;
  steady: number | null;
  firstWall: number;
  steadyWall: number | null;
  processes: number;
}
export interface Row {
  /** What the columns agree on. */
  checksum: string;
  columns: Record<string, Figure>;
  /** Columns that computed something else; they have no figure. */
  differs: string[];
}
export interface Table {
  /** Load of the machine (one minute) before and after, or the range where rows are of several runs. */
  load: [number, number];
  rows: Record<string, Row>;
}
export interface Reached {
  issue: number;
  text: string;
  bar: number;
  /** null: not measured. */
  reached: number | null;
  note: string;
}
export interface Results {
  about: { node: string; v8: string; cpu: string; cores: number; rounds: number };
  /** kernels32, kernels64, boot, inside-686, inside-amd64 */
  tables: Record<string, Table>;
  /** What the translating tier said of itself at the end of a process, by what that process ran. */
  translation: Record<string, Record<string, number>>;
  idle: { memoryMiB: number; residentMiB: number } | null;
  bars: Reached[];
  /** What could not be measured, and why. */
  missing: string[];
}

export const median = (v: readonly number[]): number => {
  const s = v.toSorted((a, b) => a - b);
  const middle = s.length >> 1;
  return s.length % 2 === 1 ? s[middle]! : (s[middle - 1]! + s[middle]!) / 2;
};
export const geometricMean = (v: readonly number[]): number | null =>
  v.length === 0 ? null : Math.exp(v.reduce((sum, x) => sum + Math.log(x), 0) / v.length);
const rounded = (x: number): number => Number(x.toFixed(2));

function figure(samples: readonly Sample[]): Figure {
  const of = (kind: 'cpu' | 'wall'): [number, number | null] => {
    const later = samples.flatMap((s) => s[kind].slice(1));
    return [rounded(median(samples.map((s) => s[kind][0]!))), later.length > 0 ? rounded(median(later)) : null];
  };
  const [[first, steady], [firstWall, steadyWall]] = [of('cpu'), of('wall')];
  return { first, steady, firstWall, steadyWall, processes: samples.length };
}

/** What a cell is compared by, CPU ms. */
export const settled = (f: Figure): number => f.steady ?? f.first;

/** How many times as fast as `column` `ours` is in this row, or null. */
export function ratio(row: Row | undefined, ours: string, column: string, of = settled): number | null {
  const [mine, theirs] = [row?.columns[ours], row?.columns[column]];
  return mine && theirs && of(mine) > 0 ? of(theirs) / of(mine) : null;
}

/** Gathers the samples of all processes into tables. */
export class Gathered {
  readonly #samples = new Map<string, Map<string, Map<string, Sample[]>>>();
  readonly translation: Results['translation'] = {};

  add(run: Run, { column, translation }: Answer): void {
    for (const [name, sample] of Object.entries(column)) {
      if (name === BOOT) for (const row of run.boot) this.#put('boot', row, run.column, sample);
      else this.#put(run.table, name, run.column, sample);
    }
    if (!translation) return;
    const what = [
      run.title,
      ...(run.job.command === null ? [] : ['programs inside']),
      ...(run.prepared ? ['archive'] : []),
    ];
    this.translation[what.join(', ')] = { ...translation };
  }
  #put(table: string, row: string, column: string, sample: Sample): void {
    const rows = this.#samples.get(table) ?? new Map<string, Map<string, Sample[]>>();
    const columns = rows.get(row) ?? new Map<string, Sample[]>();
    this.#samples.set(table, rows.set(row, columns.set(column, [...(columns.get(column) ?? []), sample])));
  }
  tables(load: [number, number]): Record<string, Table> {
    const known = expectedResults();
    return Object.fromEntries(
      [...this.#samples].map(([name, rows]) => [
        name,
        {
          load,
          rows: Object.fromEntries(
            [...rows].map(([row, columns]) => [row, makeRow(columns, name.startsWith('inside') ? known[row]! : null)]),
          ),
        },
      ]),
    );
  }
}

/** Right is what is known or, where nothing is, what most columns say. */
function makeRow(columns: ReadonlyMap<string, Sample[]>, known: string | null): Row {
  const votes = new Map<string, number>();
  for (const samples of columns.values())
    for (const { checksum } of samples) votes.set(checksum, (votes.get(checksum) ?? 0) + 1 / samples.length);
  const checksum = known ?? [...votes].toSorted((a, b) => b[1] - a[1])[0]![0];
  const row: Row = { checksum, columns: {}, differs: [] };
  for (const [column, samples] of columns)
    if (samples.every((s) => s.checksum === checksum)) row.columns[column] = figure(samples);
    else row.differs.push(column);
  return row;
}
