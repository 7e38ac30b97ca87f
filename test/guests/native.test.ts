// Third-party kernels on the bare simulated PC: Debian's Linux runs one long script (exercise.sh) and its shell, memtest86+ a whole pass.
// They come from `npm run guests`; a kernel that is not in the cache is skipped, and the skipped test's name says so.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PcMachine } from '../../main/machine/platform/pc.ts';
import { FileMode, writeCpio } from '../../scripts/guests/cpio.ts';

const cache = new URL('../../.cache/guests/', import.meta.url);
const MiB = 1024 * 1024;
const SECOND = 1e9;
/** Without the self-tests of its ciphers and the search for ISA cards, which are most of a boot. */
const LINUX = 'console=ttyS0 panic=-1 nokaslr noisapnp cryptomgr.notests=1';

interface Guest {
  readonly kernel: string;
  /** Files that follow one another in memory: Linux unpacks several archives. */
  readonly ramdisk?: readonly Uint8Array[];
  readonly commandLine: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly clockMHz: number;
}

class Console {
  readonly machine: PcMachine;
  output = '';

  constructor(guest: Guest) {
    this.machine = new PcMachine({
      ramBytes: guest.memoryMiB * MiB,
      vcpus: guest.vcpus,
      clockMHz: guest.clockMHz,
      epochSeconds: Date.UTC(2026, 0, 1) / 1000,
      onSerial: (byte) => (this.output += String.fromCharCode(byte)),
    });
    this.machine.load({
      kernel: readFileSync(new URL(guest.kernel, cache)),
      ramdisk: guest.ramdisk === undefined ? null : Buffer.concat(guest.ramdisk),
      commandLine: guest.commandLine,
    });
  }

  /** Runs until `done`, at most `seconds` of virtual time; fails with the last lines when it does not come. */
  runUntil(what: string, done: () => boolean, seconds: number): void {
    const end = this.machine.now() + seconds * SECOND;
    while (!done() && this.machine.stop === null && this.machine.now() < end)
      this.machine.runUntil(this.machine.now() + 10_000_000);
    if (!done())
      expect.fail(`${what} never came; stop: ${JSON.stringify(this.machine.stop)}\n${this.output.slice(-3000)}`);
  }
}

const digest = (algorithm: string, data: string | Uint8Array): string =>
  `${createHash(algorithm).update(data).digest('hex')}  -`;
const lines = (count: number): string => Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');
/** Text that compresses, but not too well. */
const TEXT = Array.from({ length: 6000 }, (_, n) => `${n} ${(n * 2_654_435_761) % 4_294_967_296} line of text\n`).join(
  '',
);
const hasXz = spawnSync('xz', ['--version']).status === 0;
const exerciseArchive = (): Uint8Array =>
  writeCpio([
    { path: 'exercise', mode: FileMode.Directory },
    {
      path: 'exercise/run.sh',
      mode: FileMode.Executable,
      data: readFileSync(new URL('exercise.sh', import.meta.url)),
    },
    { path: 'exercise/text', mode: FileMode.Executable, data: Buffer.from(TEXT) },
    ...(hasXz
      ? [{ path: 'exercise/text.xz', mode: FileMode.Executable, data: execFileSync('xz', ['-c'], { input: TEXT }) }]
      : []),
  ]);

const sum = (count: number, term: (n: number) => number): number => {
  let total = 0;
  for (let n = 1; n <= count; n++) total += term(n);
  return total;
};
const minimalStandard = (steps: number): bigint => {
  let x = 1n;
  for (let n = 0; n < steps; n++) x = (x * 16_807n) % 2_147_483_647n;
  return x;
};
const factorial = (n: bigint): bigint => (n < 2n ? 1n : n * factorial(n - 1n));

/** What exercise.sh has to print. */
function answers(busybox: Uint8Array, processors: number, machine: string): Record<string, string> {
  const triangle = (n: number): number => (n * (n + 1)) / 2;
  return {
    processors: String(processors),
    machine,
    date: '2026-01-01',
    exec: '60',
    pipe: '20000 19999 19998',
    'broken pipe': '300000',
    parallel: [1000, 2000, 3000, 4000].map(triangle).join(' '),
    fifo: digest('md5', lines(5000)),
    trap: 'caught',
    terminated: '143',
    segmentation: '139',
    alarm: '143',
    mapped: String(2 ** 21),
    zeroes: digest('sha256', new Uint8Array(512 * 1024)),
    maps: '1',
    md5: digest('md5', busybox),
    sha256: digest('sha256', TEXT),
    sha512: digest('sha512', TEXT),
    gzip: digest('sha256', TEXT),
    smaller: 'yes',
    bzip2: digest('sha256', TEXT),
    ...(hasXz ? { xz: digest('sha256', TEXT) } : {}),
    'inverse squares': sum(5000, (n) => 1 / (n * n)).toFixed(12),
    roots: sum(500, (n) => Math.sqrt(n)).toFixed(9),
    functions: '.84147098480789650665 2.71828182845904523536 .69314718055994530941 1.41421356237309504880',
    integers: String(minimalStandard(2000)),
    pi: '3.141592653589793238462643383276',
    factorial: String(factorial(30n)),
    shell: String((0x7fff_ffff * 3) % 1_000_007),
  };
}

const linuxKernels = [
  { name: '64-bit', kernel: 'linux-cloud-amd64/vmlinuz', architecture: 'amd64', machine: 'x86_64', vcpus: 1 },
  { name: '64-bit', kernel: 'linux-cloud-amd64/vmlinuz', architecture: 'amd64', machine: 'x86_64', vcpus: 4 },
  { name: '32-bit without PAE', kernel: 'linux-686/vmlinuz', architecture: 'i386', machine: 'i686', vcpus: 1 },
  { name: '32-bit with PAE', kernel: 'linux-686-pae/vmlinuz', architecture: 'i386', machine: 'i686', vcpus: 2 },
] as const;

describe('Linux on the bare machine', () => {
  for (const { name, kernel, architecture, machine, vcpus } of linuxKernels) {
    const ramdisk = new URL(`initramfs-${architecture}.cpio.gz`, cache);
    const busybox = new URL(`busybox-${architecture}/busybox`, cache);
    const present = existsSync(new URL(kernel, cache)) && existsSync(ramdisk);
    it.skipIf(!present)(
      `${name}, ${vcpus} processor(s): a script of many programs, power-off${present ? '' : ' (not fetched: npm run guests)'}`,
      () => {
        // the second archive begins at a multiple of four bytes
        const first = readFileSync(ramdisk);
        const padding = new Uint8Array((4 - (first.length % 4)) % 4);
        const linux = new Console({
          kernel,
          ramdisk: [first, padding, exerciseArchive()],
          commandLine: `${LINUX} quiet bulkhead_run=sh,/exercise/run.sh`,
          memoryMiB: 192,
          vcpus,
          clockMHz: 1000,
        });
        linux.runUntil('power-off', () => linux.machine.stop !== null, 120);
        expect(linux.machine.stop).toEqual({ reason: 'power-off' });
        expect(linux.output).not.toMatch(/WARNING|BUG:|Oops|unstable/);
        const printed = Object.fromEntries(
          [...linux.output.matchAll(/^([a-z0-9 ]+): (.*?) *\r?$/gm)].map(([, what, value]) => [what, value]),
        );
        expect(printed).toMatchObject(answers(readFileSync(busybox), vcpus, machine));
        expect(printed).toMatchObject({ bulkhead: 'command ended with status 0' });
      },
    );
  }
});

describe('memtest86+ on the bare machine', () => {
  const present = existsSync(new URL('memtest86+/memtest64.bin', cache));
  const note = present ? '' : ' (not fetched: npm run guests)';
  const start = (kernel: string, clockMHz: number): Console => {
    const test = new Console({ kernel, commandLine: 'nosmp', memoryMiB: 8, vcpus: 1, clockMHz });
    test.runUntil('the start screen', () => test.machine.board.vga.text().includes('<Enter> to start'), 200);
    test.machine.board.ps2.typeText('\n');
    return test;
  };

  // At 5 MHz its waits of fixed length (160 s of fading) cost few instructions.
  for (const bits of [64, 32])
    it.skipIf(!present)(`${bits}-bit: a whole pass without an error${note}`, () => {
      const test = start(`memtest86+/memtest${bits}.bin`, 5);
      const screen = (): string => test.machine.board.vga.text();
      test.runUntil('the first pass', () => /Pass: +1 /.test(screen()), 3000);
      expect(screen()).toMatch(/Errors: 0/);
      expect(screen()).toContain('Status: Pass');
    });
});
