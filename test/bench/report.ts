/**
 * Results on disk and in words: results.json, the tables of docs/performance.md between two marks, and its chart. `node test/bench/report.ts`
 * writes page and chart anew from results.json; with the file of a run (out/bench/results.json) it records that first.
 * Invariant: page and chart say what results.json says.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { reached } from './bars.ts';
import { chart } from './chart.ts';
import type { Results } from './results.ts';
import { barsGrid, grids, toMarkdown, translationGrid } from './tables.ts';

const here = (f: string): string => fileURLToPath(new URL(f, import.meta.url));
const RESULTS = here('results.json');
const PAGE = here('../../docs/performance.md');
const CHART = here('../../docs/performance.svg');
const BEGIN = '<!-- results -->';
const END = '<!-- end of results -->';

function page(r: Results): string {
  const { about } = r;
  const loads = Object.values(r.tables).flatMap((table) => table.load);
  const loaded = loads.length > 0 ? ` The load was ${Math.min(...loads)} to ${Math.max(...loads)}.` : '';
  const paragraphs = [
    '![How many times as fast the translator is as each of the others](performance.svg)',
    `Measured on ${about.cpu} with ${about.cores} cores, Node ${about.node}, ${about.rounds} rounds.${loaded}`,
    toMarkdown(barsGrid(r.bars)),
    ...grids(r.tables).map(toMarkdown),
  ];
  if (Object.keys(r.translation).length > 0) paragraphs.push(toMarkdown(translationGrid(r.translation)));
  if (r.idle)
    paragraphs.push(`An idle host with ${r.idle.memoryMiB} MiB of memory: ${r.idle.residentMiB} MiB resident.`);
  if (r.missing.length > 0) paragraphs.push(`Not measured:\n\n${r.missing.map((line) => `- ${line}`).join('\n')}`);
  return paragraphs.join('\n\n');
}

function write(r: Results): void {
  const text = readFileSync(PAGE, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/performance.md has lost its marks ${BEGIN} and ${END}.`);
  writeFileSync(PAGE, `${text.slice(0, begin + BEGIN.length)}\n\n${page(r)}\n\n${text.slice(end)}`);
  writeFileSync(CHART, chart(r));
}

/**
 * Figures that were measured take the place of older ones; columns that were not stay if they computed the same. A table's load is the range of all its
 * figures.
 */
export function merge(old: Results['tables'], measured: Results['tables']): Results['tables'] {
  const tables = { ...old };
  for (const [name, { load, rows }] of Object.entries(measured)) {
    const before = old[name];
    const all = { ...before?.rows };
    for (const [row, measuredNow] of Object.entries(rows)) {
      const older = all[row]?.checksum === measuredNow.checksum ? all[row].columns : {};
      all[row] = { ...measuredNow, columns: { ...older, ...measuredNow.columns } };
    }
    const figures = (r: typeof rows): number =>
      Object.values(r).reduce((n, { columns }) => n + Object.keys(columns).length, 0);
    const loads = [...load, ...(figures(all) > figures(rows) ? before!.load : [])];
    tables[name] = { load: [Math.min(...loads), Math.max(...loads)], rows: all };
  }
  return tables;
}

/** Adds to what was recorded before. */
export async function record(r: Results): Promise<void> {
  const before = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as Partial<Results>) : {};
  const tables = merge(before.tables ?? {}, r.tables);
  const merged: Results = {
    about: r.about,
    ...{ tables, translation: { ...before.translation, ...r.translation }, idle: r.idle ?? before.idle ?? null },
    ...{ bars: reached(tables), missing: r.missing },
  };
  const style = await resolveConfig(RESULTS);
  writeFileSync(RESULTS, await format(JSON.stringify(merged), { ...style, parser: 'json' }));
  write(merged);
}

if (process.argv[1] === import.meta.filename) {
  const file = process.argv[2];
  const results = JSON.parse(readFileSync(file ?? RESULTS, 'utf8')) as Results;
  if (file === undefined) write(results);
  else await record(results);
}
