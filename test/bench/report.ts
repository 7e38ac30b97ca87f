// The benchmark's results as a table in docs/performance.md, between two marks. Invariant: the table says what results.json says.
// node test/bench/report.ts writes it anew from results.json.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Results {
  about: { node: string; v8: string; cpu?: string; cores: number; load: number };
  /** Milliseconds by kernel and column; `checksum` besides. */
  kernels: Record<string, Record<string, number | string>>;
  geomean: Record<string, number>;
  /** Million instructions a second of code that runs for the first time, if it was measured. */
  coldMips: number | null;
  idle: { memoryMiB: number; residentMiB: number };
}

const here = (f: string): string => fileURLToPath(new URL(f, import.meta.url));
const RESULTS = here('results.json');
const PAGE = here('../../docs/performance.md');
const BEGIN = '<!-- results -->';
const END = '<!-- end of results -->';
const BASE = 'interpreter';

function table(r: Results): string {
  const columns = [...new Set(Object.values(r.kernels).flatMap((row) => Object.keys(row)))].filter(
    (c) => c !== 'checksum' && c !== BASE,
  );
  const cell = (row: Record<string, number | string>, c: string): string => {
    const ms = row[c];
    const base = row[BASE];
    return typeof ms === 'number' && typeof base === 'number' ? `${ms.toFixed(1)} (${(ms / base).toFixed(2)})` : '';
  };
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const rows = Object.entries(r.kernels).map(([name, row]) =>
    line([name, Number(row[BASE]).toFixed(1), ...columns.map((c) => cell(row, c))]),
  );
  return [
    line(['kernel', `${BASE}, ms`, ...columns.map((c) => `${c}, ms (ratio)`)]),
    line(['---', ...Array.from({ length: columns.length + 1 }, () => '---:')]),
    ...rows,
    line(['geometric mean', '', ...columns.map((c) => `${r.geomean[c]?.toFixed(2) ?? ''}`)]),
    '',
    `Measured on ${r.about.cpu ?? 'an unnamed processor'} with ${r.about.cores} cores at a load of ${r.about.load}, Node ${r.about.node}.`,
    `Cold code: ${r.coldMips ?? '-'} million instructions a second. An idle host with ${r.idle.memoryMiB} MiB of memory: ${r.idle.residentMiB} MiB resident.`,
  ].join('\n');
}

/** Writes results.json and the table of docs/performance.md. */
export function record(r: Results): void {
  writeFileSync(RESULTS, `${JSON.stringify(r, null, 2)}\n`);
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.slice(0, page.indexOf(BEGIN) + BEGIN.length), page.slice(page.indexOf(END))];
  writeFileSync(PAGE, `${before}\n\n${table(r)}\n\n${after}`);
}

if (process.argv[1] === import.meta.filename) record(JSON.parse(readFileSync(RESULTS, 'utf8')) as Results);
