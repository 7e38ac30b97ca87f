/**
 * What a run of the benchmark consists of: the parts, their rows, and for each column the processes that measure it.
 * A column is tried whatever the others did; what cannot be measured here says why in a sentence.
 */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildKernels, buildNative, buildWasm, type Bits, type Built } from './build-kernels.ts';
import { buildInsideRamdisk, INSIDE } from './inside.ts';
import type { Job } from './job.ts';

export const KERNELS = {
  computing: 'integer crc32 copy chase sieve quicksort sha256 bytecode recursion indirect u64 float strings'.split(' '),
  systemic: 'syscall pagefault cr3 rep selfmod port cold'.split(' '),
};
export const PARTS = ['kernels32', 'kernels64', 'boot', 'inside', 'translation'] as const;
export type Part = (typeof PARTS)[number];

interface LinuxGuest {
  bits: Bits;
  mode: Job['mode'];
  kernel: string;
  /** Whether programs are measured in it. */
  inside: boolean;
}
/** Rows of the part `boot`. */
export const GUESTS: Readonly<Record<string, LinuxGuest>> = {
  '686': { bits: 32, mode: 'native', kernel: 'linux-686', inside: true },
  '686-pae-pvh': { bits: 32, mode: 'pvh', kernel: 'linux-686-pae', inside: false },
  amd64: { bits: 64, mode: 'native', kernel: 'linux-amd64', inside: true },
  'amd64-pvh': { bits: 64, mode: 'pvh', kernel: 'linux-cloud-amd64', inside: false },
  'amd64-pv': { bits: 64, mode: 'pv', kernel: 'linux-cloud-amd64', inside: false },
};

const root = fileURLToPath(new URL('../..', import.meta.url));
const guestFile = (f: string): string => path.join(root, '.cache', 'guests', f);
const cache = path.join(root, '.cache', 'bench');
/** What earlier runs translated, for the column `archive`: the translator on a guest that ran here before. */
const archive = path.join(cache, 'translations');

const COLUMNS: Readonly<Record<string, { script: string; environment: Record<string, string> }>> = {
  interpreter: { script: 'ours.ts', environment: { BULKHEAD_TIER: 'interpreter' } },
  translator: { script: 'ours.ts', environment: { BULKHEAD_TIER: 'translator' } },
  archive: { script: 'ours.ts', environment: { BULKHEAD_TIER: 'translator', BULKHEAD_TRANSLATIONS: archive } },
  'v86 nojit': { script: 'v86.ts', environment: { V86: 'nojit' } },
  v86: { script: 'v86.ts', environment: {} },
  qemu: { script: 'qemu.ts', environment: {} },
  native: { script: 'native.ts', environment: {} },
  wasm: { script: 'wasm.ts', environment: {} },
};
export const COLUMN_NAMES = Object.keys(COLUMNS);

/** One process that measures one column. */
export interface Run {
  readonly title: string;
  readonly column: string;
  readonly script: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly job: Job;
  /** Processes of its kind at most, where each takes long. */
  readonly rounds: number;
  /** Run once more before, and not measured: what it leaves behind is part of the column. */
  readonly prepared: boolean;
  /** Where its samples belong: the table and row of the boot, and the table of all others. */
  readonly boot: readonly string[];
  readonly table: string;
}
export interface Choice {
  readonly parts: readonly Part[];
  /** Names of kernels, guests and programs inside; all if there are none of a kind. */
  readonly names: readonly string[];
  readonly columns: readonly string[] | null;
}

/** @throws TypeError when a word is no part, kernel, guest or program */
export function choose(words: readonly string[] | null, columns: readonly string[] | null): Choice {
  const all = [...KERNELS.computing, ...KERNELS.systemic];
  const guests = Object.keys(GUESTS);
  const known = [...PARTS, ...all, ...guests, ...INSIDE];
  for (const word of words ?? [])
    if (!(known as string[]).includes(word))
      throw new TypeError(`There is no "${word}" here. Known: ${known.join(', ')}.`);
  for (const column of columns ?? [])
    if (!COLUMN_NAMES.includes(column))
      throw new TypeError(`There is no column "${column}". Known: ${COLUMN_NAMES.join(', ')}.`);
  if (!words) return { parts: PARTS, names: [], columns };
  const has = (list: readonly string[]): boolean => list.some((name) => words.includes(name));
  const named = PARTS.filter((part) => words.includes(part));
  const implied: Part[] = [];
  if (has(all)) implied.push('kernels32');
  if (has(KERNELS.computing)) implied.push('kernels64');
  if (has(guests)) implied.push('boot');
  if (has(INSIDE)) implied.push('inside');
  return { parts: named.length > 0 ? named : implied, names: words.filter((w) => !named.includes(w as Part)), columns };
}

/** Runs of each program in a process; more of the kernels where they are short, so that most of them are steady: code is compiled while they run. */
const REPETITIONS = 3;
const REPETITIONS_OF_KERNELS = 7;
const SLOW = ['interpreter', 'v86 nojit'];

/** The processes of a run, in the order of one round. */
export function plan(choice: Choice, say: (line: string) => void): Run[] {
  const { parts, names, columns } = choice;
  const runs: Run[] = [];
  const missing = new Map<string, string | null>([
    ['v86', existsSync('/usr/share/seabios/bios.bin') ? null : 'the package seabios is not installed'],
    ['qemu', existsSync('/usr/bin/qemu-system-i386') ? null : 'the package qemu-system-x86 is not installed'],
  ]);
  const add = (column: string, title: string, job: Job, more: Pick<Run, 'table' | 'boot'>, rounds = Infinity): void => {
    if (columns && !columns.includes(column)) return;
    const why = missing.get(column.split(' ')[0]!);
    if (why) return say(`${title}, ${column}: left out, ${why}.`);
    runs.push({ title, column, ...COLUMNS[column]!, job, rounds, prepared: column === 'archive', ...more });
  };
  const kernels = (bits: Bits): void => {
    const title = `kernels in ${bits} bits`;
    const own = [...KERNELS.computing, ...(bits === 32 ? KERNELS.systemic : [])];
    const chosen = names.filter((name) => own.includes(name));
    const job = (column: string, image: string): Job => ({
      ...{ bits, mode: 'native', image, ramdisk: null, command: null },
      commandLine: [
        `repeat=${SLOW.includes(column) ? REPETITIONS : REPETITIONS_OF_KERNELS}`,
        ...(chosen.length > 0 ? [`only=${chosen.join(',')}`] : []),
      ].join(' '),
    });
    const built = (column: string, what: Built, rounds?: number): void => {
      if ('missing' in what) return say(`${title}, ${column}: left out, ${what.missing}.`);
      add(column, title, job(column, what.file), { table: `kernels${bits}`, boot: [] }, rounds);
    };
    const image = buildKernels(cache, bits);
    built('interpreter', image, 2);
    built('translator', image);
    if (bits === 32) {
      built('v86 nojit', image, 1);
      built('v86', image);
    }
    built('qemu', image, 2);
    if (chosen.length > 0 && !chosen.some((name) => KERNELS.computing.includes(name))) return;
    built('native', buildNative(cache, bits));
    built('wasm', buildWasm(cache));
  };
  if (parts.includes('kernels32')) kernels(32);
  if (parts.includes('kernels64')) kernels(64);

  // it shall hold what this run translates, and nothing of an older program
  rmSync(archive, { recursive: true, force: true });
  const inside = parts.includes('inside');
  const boot = parts.includes('boot');
  const chosenGuests = Object.keys(GUESTS).filter((name) => names.includes(name));
  const chosenPrograms = INSIDE.filter((name) => names.includes(name));
  const ramdisks = new Map<Bits, string>();
  const peers = new Map<string, Run>();
  for (const [name, guest] of Object.entries(GUESTS)) {
    const { bits, mode, kernel } = guest;
    const programs = inside && guest.inside;
    // the translator's figures come from the two kernels on a bare machine
    const figures = parts.includes('translation') && guest.inside;
    if (chosenGuests.length > 0 && !chosenGuests.includes(name)) continue;
    if (!boot && !programs && !figures) continue;
    const image = guestFile(`${kernel}/vmlinuz`);
    const initial = guestFile(`initramfs-${bits === 64 ? 'amd64' : 'i386'}.cpio.gz`);
    const absent = [image, initial].find((f) => !existsSync(f));
    if (absent) {
      say(`Linux ${name}: left out, npm run guests has not fetched ${path.relative(root, absent)}.`);
      continue;
    }
    if (!ramdisks.has(bits)) ramdisks.set(bits, buildInsideRamdisk(initial, cache, bits, say));
    const command = `sh /bench/run.sh ${REPETITIONS} ${chosenPrograms.join(',')}`;
    const job = (on: Job['mode'], typed: boolean): Job => ({
      ...{ bits, mode: on, image, ramdisk: ramdisks.get(bits)!, command: typed ? command : null },
      // without the self-tests of its ciphers and the search for ISA cards, as the tests boot it
      commandLine: `console=${on === 'native' ? 'ttyS0' : 'hvc0'} panic=-1 nokaslr noisapnp cryptomgr.notests=1`,
    });
    const title = `Linux ${name}`;
    const where = { table: `inside-${name}`, boot: [name] };
    if (boot && name === '686') {
      add('interpreter', title, job(mode, false), where, 1);
      add('v86 nojit', title, job(mode, false), where, 1);
    }
    add('translator', title, job(mode, programs), where);
    if (!boot && !programs) continue;
    if (guest.inside) add('archive', title, job(mode, programs), where, 2);
    if (name === '686') add('v86', title, job(mode, programs), where);
    // QEMU has no domains: the bare machine with the same kernel stands beside each of them
    const peer = peers.get(kernel);
    if (peer) (peer.boot as string[]).push(name);
    else {
      const before = runs.length;
      add('qemu', title, job('native', programs), where);
      if (runs.length > before) peers.set(kernel, runs.at(-1)!);
    }
  }
  return runs;
}
