/** The bars the simulated CPU is held to (issues 3 and 8), as data: what is compared, how much it has to be, what was reached. */
import { KERNELS } from './plan.ts';
import { geometricMean, ratio, settled, type Figure, type Reached, type Results, type Table } from './results.ts';

type Tables = Results['tables'];
interface Reading {
  value: number | null;
  note?: string;
}
interface Bar {
  issue: number;
  text: string;
  bar: number;
  read: (tables: Tables) => Reading;
}

const TRANSLATOR = 'translator';
const INTERPRETER = 'interpreter';
type By = (f: Figure) => number;
const elapsed: By = (f) => f.steadyWall ?? f.firstWall;

/** Ratios of all rows that have both columns, by row. */
export function ratios(
  table: Table | undefined,
  ours: string,
  column: string,
  only?: readonly string[],
): Map<string, number> {
  const found = new Map<string, number>();
  for (const [name, row] of Object.entries(table?.rows ?? {})) {
    const value = only && !only.includes(name) ? null : ratio(row, ours, column);
    if (value !== null && value > 0) found.set(name, value);
  }
  return found;
}
/** Geometric mean over the kernels that compute, and in the note over all. */
const mean =
  (table: string, ours: string, column: string) =>
  (t: Tables): Reading => {
    const computing = ratios(t[table], ours, column, KERNELS.computing);
    const all = ratios(t[table], ours, column);
    const value = geometricMean([...(computing.size > 0 ? computing : all).values()]);
    const systemToo = geometricMean([...all.values()]);
    const note =
      all.size > computing.size && systemToo !== null ? `with the system kernels ${systemToo.toFixed(2)}` : '';
    return { value, note };
  };
/** Geometric mean over the kernels of both widths, and in the note of each; x87 is exact in 80 bits here and a double there. */
const ofWasm = (t: Tables): Reading => {
  const [narrow, wide] = (['kernels32', 'kernels64'] as const).map((table) =>
    ratios(t[table], TRANSLATOR, 'wasm', KERNELS.computing),
  ) as [Map<string, number>, Map<string, number>];
  const text = (values: Iterable<number>): string => geometricMean([...values])?.toFixed(2) ?? 'not measured';
  const withoutX87 = [...narrow].filter(([name]) => name !== 'float').map(([, value]) => value);
  return {
    value: geometricMean([...narrow.values(), ...wide.values()]),
    note: `32 bits ${text(narrow.values())}, without x87 ${text(withoutX87)}; 64 bits ${text(wide.values())}`,
  };
};
/** The row that comes off worst. */
const least =
  (table: string, ours: string, column: string) =>
  (t: Tables): Reading => {
    const worst = [...ratios(t[table], ours, column)].toSorted((a, b) => a[1] - b[1])[0];
    return { value: worst?.[1] ?? null, ...(worst && { note: worst[0] }) };
  };
const one =
  (table: string, row: string, ours: string, column: string) =>
  (t: Tables): Reading => {
    const found = t[table]?.rows[row];
    const wall = ratio(found, ours, column, elapsed);
    const again = ratio(found, 'archive', column, settled);
    const notes = [
      wall === null ? '' : `elapsed ${wall.toFixed(2)}`,
      again === null ? '' : `archive ${again.toFixed(2)}`,
    ];
    const linux = table === 'boot' || table.startsWith('inside');
    return { value: ratio(found, ours, column, settled), ...(linux && { note: notes.filter(Boolean).join(', ') }) };
  };
/** Millions a second of the million instructions of the row `cold`. */
const cold = (t: Tables): Reading => {
  const figure = t.kernels32?.rows.cold?.columns[INTERPRETER];
  return { value: figure ? 1000 / settled(figure) : null };
};

const BARS: readonly Bar[] = [
  {
    issue: 3,
    text: 'interpreter, kernels: v86 without its translator',
    bar: 4,
    read: mean('kernels32', INTERPRETER, 'v86 nojit'),
  },
  {
    issue: 3,
    text: 'interpreter, the slowest kernel: v86 without its translator',
    bar: 1,
    read: least('kernels32', INTERPRETER, 'v86 nojit'),
  },
  {
    issue: 3,
    text: 'interpreter, Linux 686 to its shell: v86 without its translator',
    bar: 3,
    read: one('boot', '686', INTERPRETER, 'v86 nojit'),
  },
  {
    issue: 3,
    text: 'interpreter, code that runs for the first time, million instructions a second',
    bar: 20,
    read: cold,
  },
  { issue: 8, text: 'kernels in 32 bits: v86', bar: 2.5, read: mean('kernels32', TRANSLATOR, 'v86') },
  { issue: 8, text: 'kernels in 32 bits: QEMU', bar: 1.4, read: mean('kernels32', TRANSLATOR, 'qemu') },
  { issue: 8, text: 'kernels in 64 bits: QEMU', bar: 1.2, read: mean('kernels64', TRANSLATOR, 'qemu') },
  { issue: 8, text: 'the slowest kernel: v86', bar: 0.8, read: least('kernels32', TRANSLATOR, 'v86') },
  { issue: 8, text: 'floating point by SSE2: QEMU', bar: 4, read: one('kernels64', 'float', TRANSLATOR, 'qemu') },
  { issue: 8, text: 'floating point by x87: v86', bar: 1.5, read: one('kernels32', 'float', TRANSLATOR, 'v86') },
  { issue: 8, text: 'all kernels: the same C straight to WebAssembly', bar: 0.35, read: ofWasm },
  { issue: 8, text: 'Linux 686 to its shell: v86', bar: 2, read: one('boot', '686', TRANSLATOR, 'v86') },
  { issue: 8, text: 'Linux 686 to its shell: QEMU', bar: 0.8, read: one('boot', '686', TRANSLATOR, 'qemu') },
  { issue: 8, text: 'Linux amd64 to its shell: QEMU', bar: 0.8, read: one('boot', 'amd64', TRANSLATOR, 'qemu') },
  {
    issue: 8,
    text: '200 fork and exec in Linux 686: v86',
    bar: 4,
    read: one('inside-686', 'forks', TRANSLATOR, 'v86'),
  },
  {
    issue: 8,
    text: '200 fork and exec in Linux 686: QEMU',
    bar: 0.7,
    read: one('inside-686', 'forks', TRANSLATOR, 'qemu'),
  },
  {
    issue: 8,
    text: '200 fork and exec in Linux amd64: QEMU',
    bar: 0.7,
    read: one('inside-amd64', 'forks', TRANSLATOR, 'qemu'),
  },
];

/** Every bar with what these tables say of it. */
export function reached(tables: Tables): Reached[] {
  return BARS.map(({ issue, text, bar, read }) => {
    const { value, note = '' } = read(tables);
    return { issue, text, bar, reached: value === null ? null : Number(value.toFixed(3)), note };
  });
}
