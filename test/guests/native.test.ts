// Third-party kernels on the bare simulated PC: Debian's Linux to a shell that works, and memtest86+ through a whole pass.
// They come from `npm run guests`; a kernel that is not in the cache is skipped, and the skipped test's name says so.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PcMachine } from '../../main/machine/platform/pc.ts';

const cache = new URL('../../.cache/guests/', import.meta.url);
const MiB = 1024 * 1024;
const SECOND = 1e9;
/** Without the self-tests of its ciphers and the search for ISA cards, which are most of a boot. */
const LINUX = 'console=ttyS0 panic=-1 nokaslr noisapnp cryptomgr.notests=1';

interface Guest {
  readonly kernel: string;
  readonly ramdisk?: string;
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
      ramdisk: guest.ramdisk === undefined ? null : readFileSync(new URL(guest.ramdisk, cache)),
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

  /** Types a command at the shell and returns what it printed, without the echo. */
  command(text: string): string {
    const start = this.output.length;
    const end = `END-${text.length}-${start}`;
    // The mark is typed in two parts so that only the result matches, not the echo.
    this.machine.board.serial.receive(
      Buffer.from(`stty -echo; echo BEG''IN; ${text}; echo ${end.replace('-', "''-")}\n`),
    );
    this.runUntil(`the end of: ${text}`, () => this.output.includes(end, start), 30);
    const printed = this.output.slice(this.output.indexOf('BEGIN\r\n', start) + 7, this.output.indexOf(end, start));
    return printed.replaceAll('\r\n', '\n').trim();
  }
}

const md5 = (data: string | Uint8Array): string => createHash('md5').update(data).digest('hex');
const sequence = Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join('');
const sumOfInverseSquares = (): string => {
  let sum = 0;
  for (let index = 1; index <= 20_000; index++) sum += 1 / (index * index);
  return sum.toFixed(12);
};

/** What a shell does all day, with answers that are known. */
function exercise(linux: Console, busybox: Uint8Array): void {
  linux.command('dmesg -n 1'); // from here on the kernel's own messages stay out of the answers
  expect(linux.command('cat /bin/busybox | md5sum')).toBe(`${md5(busybox)}  -`);
  expect(linux.command('dd if=/dev/zero bs=64k count=16 2>/dev/null | sha256sum')).toBe(
    `${createHash('sha256').update(new Uint8Array(MiB)).digest('hex')}  -`,
  );
  expect(linux.command('seq 1 20000 | gzip | gunzip | md5sum')).toBe(`${md5(sequence)}  -`);
  expect(linux.command("seq 1 20000 | sort -rn | head -3 | tr '\\n' ' '")).toBe('20000 19999 19998');
  expect(linux.command(`awk 'BEGIN{for(i=1;i<=20000;i++)s+=1/(i*i); printf "%.12f\\n", s}'`)).toBe(
    sumOfInverseSquares(),
  );
  expect(linux.command("echo 'scale=30; 4*a(1)' | bc -l")).toBe('3.141592653589793238462643383276');
  expect(linux.command("trap 'echo caught' USR1; kill -USR1 $$; trap - USR1")).toBe('caught');
  expect(linux.command('(sleep 10 & kill $!; wait $!; echo $?)')).toContain('143');
  expect(linux.command('i=0; while [ $i -lt 100 ]; do /bin/busybox true; i=$((i+1)); done; echo $i')).toBe('100');
  expect(linux.command('date -u +%Y-%m-%d')).toBe('2026-01-01');
}

const linuxKernels = [
  { name: 'Linux 64-bit', kernel: 'linux-cloud-amd64/vmlinuz', architecture: 'amd64', machine: 'x86_64', vcpus: 1 },
  { name: 'Linux 64-bit', kernel: 'linux-cloud-amd64/vmlinuz', architecture: 'amd64', machine: 'x86_64', vcpus: 4 },
  { name: 'Linux 32-bit without PAE', kernel: 'linux-686/vmlinuz', architecture: 'i386', machine: 'i686', vcpus: 1 },
  { name: 'Linux 32-bit with PAE', kernel: 'linux-686-pae/vmlinuz', architecture: 'i386', machine: 'i686', vcpus: 2 },
] as const;

describe('Linux on the bare machine', () => {
  for (const { name, kernel, architecture, machine, vcpus } of linuxKernels) {
    const ramdisk = `initramfs-${architecture}.cpio.gz`;
    const busybox = new URL(`busybox-${architecture}/busybox`, cache);
    const present = [kernel, ramdisk].every((file) => existsSync(new URL(file, cache)));
    it.skipIf(!present)(
      `${name}, ${vcpus} processor(s): a shell, programs, power-off${present ? '' : ' (not fetched: npm run guests)'}`,
      () => {
        const linux = new Console({ kernel, ramdisk, commandLine: LINUX, memoryMiB: 192, vcpus, clockMHz: 1000 });
        linux.runUntil('the shell', () => linux.output.includes('# '), 20);
        expect(linux.output).toContain(`${machine}, ${vcpus} cpu`);
        expect(linux.output).not.toMatch(/WARNING|BUG:|Oops|unstable/);
        exercise(linux, readFileSync(busybox));
        linux.machine.board.serial.receive(Buffer.from('poweroff -f\n'));
        linux.runUntil('power-off', () => linux.machine.stop !== null, 5);
        expect(linux.machine.stop).toEqual({ reason: 'power-off' });
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

  it.skipIf(!present)(`64-bit: a whole pass without an error${note}`, () => {
    // At 5 MHz its waits of fixed length (160 s of fading) cost few instructions.
    const test = start('memtest86+/memtest64.bin', 5);
    const screen = (): string => test.machine.board.vga.text();
    test.runUntil('the first pass', () => /Pass: +1 /.test(screen()), 3000);
    expect(screen()).toMatch(/Errors: 0/);
    expect(screen()).toContain('Status: Pass');
  });

  it.skipIf(!present)(`32-bit: its first tests${note}`, () => {
    const test = start('memtest86+/memtest32.bin', 5);
    test.runUntil('a later test', () => /Test #[1-9]/.test(test.machine.board.vga.text()), 1500);
    expect(test.machine.board.vga.text()).toMatch(/Errors: 0/);
  });
});
