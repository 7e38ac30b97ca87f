/**
 * `npm run bench -- [--only KERNEL,...] [--columns NAME,...] [--record]`: the simulated CPU beside v86 and QEMU on the same kernels, in one
 * run, and Debian's Linux 686 to a shell. Prints times and ratios (how many times faster our interpreter is) and writes out/bench/cpu.json;
 * with --record also results.json here and the table of docs/performance.md. Then what domains cost, and Linux to its shell in domains beside
 * QEMU, and how fast domains are saved and moved: programs of their own, in --only named `domains`, `shell` and `migration`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildKernels } from './build-kernels.ts';
import type { Column } from './marks.ts';
import { record, type Results } from './report.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    columns: { type: 'string' },
    record: { type: 'boolean', default: false },
  },
});
const root = fileURLToPath(new URL('../..', import.meta.url));
const here = (f: string): string => fileURLToPath(new URL(f, import.meta.url));
const guest = (f: string): string => path.join(root, '.cache', 'guests', f);
const chosen = values.only?.split(',');
const LINUX = 'linux686';
const wanted = (name: string): boolean => !chosen || chosen.includes(name);
/** Benchmarks with tables of their own. */
const PROGRAMS: Record<string, string[]> = {
  domains: ['--expose-gc', here('domains.ts')],
  shell: [here('shell.ts')],
  migration: [here('migration.ts')],
};
const runPrograms = (): void => {
  for (const [name, args] of Object.entries(PROGRAMS))
    if (wanted(name)) {
      console.log(`\n${name}:`);
      spawnSync(process.execPath, args, { stdio: 'inherit' });
    }
};
const cpuChosen = chosen?.filter((name) => !(name in PROGRAMS));
const kernelsWanted = !cpuChosen || cpuChosen.some((name) => name !== LINUX);
const only = cpuChosen ? `only=${cpuChosen.join(',')}` : '';
if (cpuChosen?.length === 0) {
  runPrograms();
  process.exit();
}
const image = kernelsWanted ? buildKernels(path.join(root, '.cache', 'bench')) : '';
/** As the tests boot it: without the self-tests of its ciphers and the search for ISA cards. */
const linux = [
  guest('linux-686/vmlinuz'),
  guest('initramfs-i386.cpio.gz'),
  'console=ttyS0 panic=-1 nokaslr noisapnp cryptomgr.notests=1',
] as const;
const linuxMissing = [linux[0], linux[1]].every((f) => existsSync(f)) ? null : 'npm run guests has not fetched it';

interface Peer {
  name: string;
  /** Programs and arguments; the rows of all of them make the column. */
  runs: string[][];
  environment?: Record<string, string>;
  missing: string | null;
}
const bios = existsSync('/usr/share/seabios/bios.bin') ? null : 'the package seabios is not installed';
const runs = (kernels: string[], boot: string[] | null): string[][] => [
  ...(kernelsWanted ? [kernels] : []),
  ...(boot && wanted(LINUX) && !linuxMissing ? [boot] : []),
];
const ours = runs([here('ours.ts'), image, only], [here('linux.ts'), ...linux]);
const v86 = (jit: string): string[][] =>
  runs([here('v86.ts'), image, only, jit], [here('v86.ts'), linux[0], linux[2], jit, linux[1]]);
const BASE = 'interpreter';
const peers: Peer[] = [
  { name: BASE, runs: ours, environment: { BULKHEAD_TIER: 'interpreter' }, missing: null },
  { name: 'translator', runs: ours, environment: { BULKHEAD_TIER: 'translator' }, missing: null },
  { name: 'v86 nojit', runs: v86('nojit'), missing: bios },
  { name: 'v86', runs: v86('jit'), missing: bios },
  {
    name: 'qemu',
    runs: runs([here('qemu.ts'), image, only], null),
    missing: existsSync('/usr/bin/qemu-system-i386') ? null : 'the package qemu-system-x86 is not installed',
  },
];
if (wanted(LINUX) && linuxMissing) console.log(`${LINUX}: left out, ${linuxMissing}.`);
const names = values.columns?.split(',');
const columns = new Map<string, Column>();
for (const peer of peers) {
  if (names && peer.name !== BASE && !names.includes(peer.name)) continue;
  if (peer.missing) {
    console.log(`${peer.name}: left out, ${peer.missing}.`);
    continue;
  }
  const column: Column = {};
  for (const args of peer.runs) {
    process.stderr.write(`${peer.name}: ${path.basename(args[0]!)} ...\n`);
    const done = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      timeout: 1_800_000,
      env: { ...process.env, ...peer.environment },
    });
    const line = done.stdout.split('\n').find((l) => l.startsWith('{'));
    if (line) Object.assign(column, JSON.parse(line));
    else console.log(`${peer.name}: no result. ${done.stderr.split('\n').slice(-4).join(' ')}`);
  }
  columns.set(peer.name, column);
}

const median = (v: number[]): number => v.toSorted((a, b) => a - b)[v.length >> 1]!;
const base = columns.get(BASE)!;
const others = [...columns.keys()].filter((n) => n !== BASE);
const rows = Object.keys(base).filter(wanted);
const pad = (s: string, n: number): string => s.padStart(n);
console.log(
  `\n${'kernel'.padEnd(12)}${pad(BASE, 12)}${others.map((o) => pad(o, 12) + pad('ratio', 8)).join('')}   (ms, median; ratio > 1: the interpreter is faster)`,
);
const logs = new Map<string, number[]>();
const report: Record<string, Record<string, number | string>> = {};
for (const k of rows) {
  const mine = median(base[k]!.ms);
  let line = `${k.padEnd(12)}${pad(mine.toFixed(1), 12)}`;
  const row: Record<string, number | string> = { checksum: base[k]!.checksum, [BASE]: Number(mine.toFixed(2)) };
  for (const o of others) {
    const theirs = columns.get(o)![k];
    if (!theirs || theirs.checksum !== base[k]!.checksum) {
      line += pad(theirs ? 'differs' : '-', 12) + pad('', 8);
      continue;
    }
    const ms = median(theirs.ms);
    row[o] = Number(ms.toFixed(2));
    line += pad(ms.toFixed(1), 12) + pad(mine > 0 && ms > 0 ? (ms / mine).toFixed(2) : '', 8);
    // the geometric mean is that of the kernels
    if (mine > 0 && ms > 0 && k !== LINUX) logs.set(o, [...(logs.get(o) ?? []), Math.log(ms / mine)]);
  }
  report[k] = row;
  console.log(line);
}
const mean = (v: number[]): number => Math.exp(v.reduce((a, b) => a + b, 0) / v.length);
const geomean = Object.fromEntries([...logs].map(([o, v]) => [o, Number(mean(v).toFixed(3))]));
console.log(
  `${'geomean'.padEnd(12)}${pad('', 12)}${others.map((o) => pad('', 12) + pad(geomean[o]?.toFixed(2) ?? '-', 8)).join('')}`,
);
const coldMs = base.cold ? median(base.cold.ms) : 0;
/** A million instructions, each for the first time. */
const coldMips = coldMs > 0 ? Number((1000 / coldMs).toFixed(1)) : null;
if (coldMips !== null) console.log(`cold code: ${coldMips} million instructions a second`);
const idleRun = spawnSync(process.execPath, [here('idle-memory.ts')], { encoding: 'utf8' });
const idle = JSON.parse(idleRun.stdout) as { memoryMiB: number; residentMiB: number };
console.log(`an idle host with ${idle.memoryMiB} MiB of memory: ${idle.residentMiB} MiB resident`);

const about = {
  node: process.version,
  v8: process.versions.v8,
  cpu: os.cpus()[0]?.model,
  cores: os.cpus().length,
  load: Number(os.loadavg()[0]!.toFixed(2)),
};
const results: Results = { about, kernels: report, geomean, coldMips, idle };
const folder = path.join(root, 'out', 'bench');
mkdirSync(folder, { recursive: true });
writeFileSync(path.join(folder, 'cpu.json'), `${JSON.stringify(results, null, 2)}\n`);
if (values.record) record(results);
runPrograms();
