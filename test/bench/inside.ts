/**
 * Linux with work to do: an initial RAM file system of scripts/guests.ts with a second archive behind it (Linux takes any number of them one
 * after the other), which brings inside/run.sh, inside/work.c and a text to compress. Invariant: equal parts give equal bytes.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { FileMode, writeCpio } from '../../scripts/guests/cpio.ts';
import { buildWork, type Bits } from './build-kernels.ts';

const MiB = 1024 * 1024;

/** 1 MiB that compresses about as prose does: words of a small vocabulary in an order of their own. */
function text(): Buffer {
  let seed = 2463534242;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const letters = 'etaoinshrdlucmfwypvbgk';
  const word = (): string => Array.from({ length: 2 + random(8) }, () => letters[random(random(22) + 1)]).join('');
  const vocabulary = Array.from({ length: 3000 }, word);
  let out = '';
  while (out.length < MiB) out += vocabulary[random(random(3000) + 1)] + (random(12) === 0 ? '.\n' : ' ');
  return Buffer.from(out.slice(0, MiB), 'latin1');
}

const digest = (algorithm: string, bytes: Uint8Array): string =>
  createHash(algorithm).update(bytes).digest('hex').slice(0, 16);

/** What each measurement of inside/run.sh prints when it is right. */
export function expectedResults(): Record<string, string> {
  const sums = Array.from({ length: 5000 }, (_, i) => (3 * (i + 1)) % 256);
  const pages = (16 * MiB) / 4096;
  return {
    sha256sum: digest('sha256', new Uint8Array(16 * MiB)),
    gzip: digest('md5', text()),
    xz: digest('md5', text()),
    awk: String((1.5 * ((99_999 * 100_000) / 2)) / 1000),
    shell: '20000',
    forks: '200',
    switches: String(sums.reduce((a, b) => a + b, 0)),
    faults: String((4 * (pages * (pages - 1))) / 2),
  };
}
export const INSIDE = Object.keys(expectedResults());

/**
 * @param ramdisk the initial RAM file system to add to
 * @param folder of the cache, for what is built
 * @param say takes a sentence for each part that has to be left out
 * @returns the path of the file system with the work in it
 */
export function buildInsideRamdisk(ramdisk: string, folder: string, bits: Bits, say: (line: string) => void): string {
  mkdirSync(folder, { recursive: true });
  const plain = text();
  const script = readFileSync(new URL('inside/run.sh', import.meta.url));
  const xz = spawnSync('xz', ['-c', '-T1'], { input: plain, maxBuffer: 4 * MiB });
  if (xz.status !== 0) say('inside Linux, xz: left out, xz is not installed here.');
  const work = buildWork(folder, bits);
  if ('missing' in work) say(`inside Linux, switches and faults: left out, ${work.missing}.`);
  const archive = writeCpio([
    { path: 'bench', mode: FileMode.Directory },
    { path: 'bench/run.sh', mode: FileMode.Executable, data: script },
    { path: 'bench/text', mode: FileMode.Executable, data: plain },
    ...(xz.status === 0 ? [{ path: 'bench/text.xz', mode: FileMode.Executable, data: xz.stdout }] : []),
    ...('file' in work ? [{ path: 'bench/work', mode: FileMode.Executable, data: readFileSync(work.file) }] : []),
  ]);
  const first = readFileSync(ramdisk);
  // an archive that is not compressed begins at a multiple of four
  const padding = Buffer.alloc(-first.length & 3);
  const file = path.join(folder, `inside${bits}.cpio`);
  writeFileSync(file, Buffer.concat([first, padding, archive]));
  return file;
}
