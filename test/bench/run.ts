/**
 * `npm run bench [-- kernel ...]`: the simulated CPU beside v86 and QEMU on the same kernels, in one run. Prints times and ratios
 * (how many times faster we are) and writes out/bench/cpu.json.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildKernels } from './build-kernels.ts';
import type { Column } from './marks.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const image = buildKernels(path.join(root, '.cache', 'bench'));
const here = (f: string): string => fileURLToPath(new URL(f, import.meta.url));

interface Peer {
  name: string;
  args: string[];
  missing: string | null;
}
const bios = existsSync('/usr/share/seabios/bios.bin') ? null : 'the package seabios is not installed';
const peers: Peer[] = [
  { name: 'bulkhead', args: [here('ours.ts'), image], missing: null },
  { name: 'v86 nojit', args: [here('v86.ts'), image, 'nojit'], missing: bios },
  { name: 'v86', args: [here('v86.ts'), image], missing: bios },
  {
    name: 'qemu',
    args: [here('qemu.ts'), image],
    missing: existsSync('/usr/bin/qemu-system-i386') ? null : 'the package qemu-system-x86 is not installed',
  },
];
const columns = new Map<string, Column>();
for (const p of peers) {
  if (p.missing) {
    console.log(`${p.name}: left out, ${p.missing}.`);
    continue;
  }
  process.stderr.write(`${p.name} ...\n`);
  const done = spawnSync(process.execPath, p.args, { encoding: 'utf8', maxBuffer: 1 << 26, timeout: 900_000 });
  const line = done.stdout.split('\n').find((l) => l.startsWith('{'));
  if (!line) {
    console.log(`${p.name}: no result. ${done.stderr.split('\n').slice(-4).join(' ')}`);
    continue;
  }
  columns.set(p.name, JSON.parse(line) as Column);
}

const median = (v: number[]): number => v.toSorted((a, b) => a - b)[v.length >> 1]!;
const ours = columns.get('bulkhead')!;
const others = [...columns.keys()].filter((n) => n !== 'bulkhead');
const chosen = process.argv.slice(2);
const rows = Object.keys(ours).filter((k) => chosen.length === 0 || chosen.includes(k));
const pad = (s: string, n: number): string => s.padStart(n);
console.log(
  `\n${'kernel'.padEnd(12)}${pad('bulkhead', 10)}${others.map((o) => pad(o, 12) + pad('ratio', 8)).join('')}   (ms, median; ratio > 1: we are faster)`,
);
const logs = new Map<string, number[]>();
const report: Record<string, unknown> = {};
for (const k of rows) {
  const mine = median(ours[k]!.ms);
  let line = `${k.padEnd(12)}${pad(mine.toFixed(1), 10)}`;
  const row: Record<string, unknown> = { bulkhead: mine, checksum: ours[k]!.checksum };
  for (const o of others) {
    const theirs = columns.get(o)![k];
    if (!theirs || theirs.checksum !== ours[k]!.checksum) {
      line += pad(theirs ? 'differs' : '-', 12) + pad('', 8);
      continue;
    }
    const ms = median(theirs.ms);
    row[o] = ms;
    if (mine > 0 && ms > 0) {
      line += pad(ms.toFixed(1), 12) + pad((ms / mine).toFixed(2), 8);
      logs.set(o, [...(logs.get(o) ?? []), Math.log(ms / mine)]);
    } else line += pad(ms.toFixed(1), 12) + pad('', 8);
  }
  report[k] = row;
  console.log(line);
}
const mean = (v: number[]): number => Math.exp(v.reduce((a, b) => a + b, 0) / v.length);
console.log(
  `${'geomean'.padEnd(12)}${pad('', 10)}${others.map((o) => pad('', 12) + pad(logs.get(o) ? mean(logs.get(o)!).toFixed(2) : '-', 8)).join('')}`,
);
const folder = path.join(root, 'out', 'bench');
mkdirSync(folder, { recursive: true });
const about = {
  node: process.version,
  v8: process.versions.v8,
  cpu: os.cpus()[0]?.model,
  cores: os.cpus().length,
  load: os.loadavg()[0],
};
const geomean = Object.fromEntries([...logs].map(([o, v]) => [o, mean(v)]));
writeFileSync(path.join(folder, 'cpu.json'), `${JSON.stringify({ about, kernels: report, geomean }, null, 2)}\n`);
