/**
 * `npm run bench -- [--only WORD,...] [--columns NAME,...] [--rounds N] [--record]`: the simulated CPU and its translator beside v86, QEMU's
 * software emulation, native code and plain WebAssembly, in one run. Words of --only: the parts kernels32, kernels64, boot, inside and
 * translation, single kernels, guests and programs, and the programs of PROGRAMS. Prints times and ratios (times as fast the translator is) and
 * writes out/bench/results.json; with --record also results.json here, the tables of docs/performance.md and its chart. What is not measured in
 * a run that records stays as it was recorded before.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { reached } from './bars.ts';
import { measureAll } from './measure.ts';
import { choose, plan, type Choice } from './plan.ts';
import { record } from './report.ts';
import type { Gathered, Results } from './results.ts';
import { barsGrid, grids, toText, translationGrid } from './tables.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    columns: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    record: { type: 'boolean', default: false },
  },
});
const here = (f: string): string => fileURLToPath(new URL(f, import.meta.url));
/** Benchmarks with tables of their own. */
const PROGRAMS: Readonly<Record<string, string[]>> = {
  domains: ['--expose-gc', here('domains.ts')],
  migration: [here('migration.ts')],
};
const words = values.only?.split(',') ?? null;
const own = words?.filter((word) => !(word in PROGRAMS)) ?? null;
const rounds = Math.max(1, Number(values.rounds) || 1);

const missing: string[] = [];
const say = (line: string): void => {
  missing.push(line);
  console.log(line);
};
const load = (): number => Number(os.loadavg()[0]!.toFixed(2));

/** What is to be measured; a word that nothing is called ends the program with a sentence. */
function chosen(): Choice {
  try {
    return choose(own, values.columns?.split(',') ?? null);
  } catch (e) {
    if (!(e instanceof TypeError)) throw e;
    console.error(`${e.message} Besides: ${Object.keys(PROGRAMS).join(', ')}.`);
    process.exit(2);
  }
}

function idleMemory(): Results['idle'] {
  const done = spawnSync(process.execPath, [here('idle-memory.ts')], { encoding: 'utf8' });
  if (done.status === 0) return JSON.parse(done.stdout) as Results['idle'];
  say(`The memory of an idle host: no result, it ended with ${done.status ?? done.signal}.`);
  return null;
}

if (own === null || own.length > 0) {
  const choice = chosen();
  const before = load();
  console.log(`Load ${before}, ${os.cpus().length} cores, ${rounds} rounds.`);
  const folder = here('../../out/bench');
  mkdirSync(folder, { recursive: true });
  const idle = own === null ? idleMemory() : null;
  /** What is known so far, kept for a run that is broken off: `node test/bench/report.ts out/bench/results.json` records it. */
  const keep = (gathered: Gathered): Results => {
    const tables = gathered.tables([before, load()]);
    const results: Results = {
      about: {
        ...{ node: process.version, v8: process.versions.v8, cpu: os.cpus()[0]?.model ?? 'an unnamed processor' },
        ...{ cores: os.cpus().length, rounds },
      },
      ...{ tables, translation: gathered.translation, idle, bars: reached(tables), missing },
    };
    writeFileSync(path.join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
    return results;
  };
  const results = keep(measureAll(plan(choice, say), rounds, say, keep));
  for (const grid of grids(results.tables)) console.log(`\n${toText(grid)}`);
  if (Object.keys(results.translation).length > 0) console.log(`\n${toText(translationGrid(results.translation))}`);
  const bars = results.bars.filter((bar) => bar.reached !== null);
  if (bars.length > 0) console.log(`\n${toText(barsGrid(bars))}`);
  if (idle) console.log(`\nAn idle host with ${idle.memoryMiB} MiB of memory: ${idle.residentMiB} MiB resident.`);
  if (values.record) await record(results);
}
for (const [name, args] of Object.entries(PROGRAMS))
  if (words === null || words.includes(name)) {
    console.log(`\n${name}:`);
    spawnSync(process.execPath, args, { stdio: 'inherit' });
  }
