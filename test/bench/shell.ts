/**
 * Start to shell in domains, `node test/bench/shell.ts`: Debian's Linux as a PVH and a PV guest, and QEMU's software emulation booting the same
 * kernel, initial RAM file system and command line (but for the console's name) on a bare machine. Elapsed time, in one run; ours also as CPU time.
 * Prints a table (ratio of the elapsed times; > 1: the domain is faster than QEMU) and writes out/bench/shell.json.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareKernel } from '../../main/toolstack/builder/kernel-image.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../shared/model.ts';
import { SHELL_READY } from './marks.ts';

const MEMORY_MIB = 128;
const ROWS = [
  { name: 'amd64 PVH', mode: 'pvh', bits: 64 },
  { name: 'amd64 PV', mode: 'pv', bits: 64 },
  { name: '686-pae PVH', mode: 'pvh', bits: 32 },
] as const;
const GUESTS = {
  64: { kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz', qemu: 'qemu-system-x86_64' },
  32: { kernel: 'linux-686-pae/vmlinuz', ramdisk: 'initramfs-i386.cpio.gz', qemu: 'qemu-system-i386' },
} as const;
type Bits = keyof typeof GUESTS;

const root = fileURLToPath(new URL('../..', import.meta.url));
const guest = (file: string): string => path.join(root, '.cache', 'guests', file);
const commandLine = (console: string): string => `console=${console} panic=-1 nokaslr cryptomgr.notests=1`;

async function domain(mode: 'pv' | 'pvh', bits: Bits): Promise<{ wallMs: number; cpuMs: number; shell: boolean }> {
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  let output = '';
  const xen = new XenHost({ name: 'bench', pcpus: 1, memoryMiB: MEMORY_MIB + 64, clockMHz: 1000 }, 1, {
    console: (_domid, bytes) => void (output += Buffer.from(bytes).toString('latin1')),
    stateChanged: () => {},
  });
  const spec = DomainSpec.parse({
    name: 'linux',
    mode,
    kernel: 'linux',
    cmdline: commandLine('hvc0'),
    memoryMiB: MEMORY_MIB,
  });
  const domid = xen.createDomain(spec, {
    kernel: await prepareKernel(readFileSync(guest(GUESTS[bits].kernel))),
    ramdisk: readFileSync(guest(GUESTS[bits].ramdisk)),
    disks: [],
  });
  while (!output.includes(SHELL_READY) && xen.domainStatus(domid).shutdown === null)
    xen.advance(xen.host.now() + 10_000_000);
  const { user, system } = process.cpuUsage(cpu);
  return {
    wallMs: performance.now() - began,
    cpuMs: (user + system) / 1000,
    shell: output.includes(SHELL_READY),
  };
}

/** Elapsed milliseconds of QEMU, null when it is not there or ends without a shell. */
function qemu(bits: Bits): Promise<number | null> {
  const { qemu: program, kernel, ramdisk } = GUESTS[bits];
  const began = performance.now();
  return new Promise((done) => {
    let output = '';
    // prettier-ignore
    const child = spawn(program, [
      '-accel', 'tcg', '-m', String(MEMORY_MIB), '-kernel', guest(kernel), '-initrd', guest(ramdisk), '-append', commandLine('ttyS0'),
      '-no-reboot', '-serial', 'stdio', '-display', 'none', '-monitor', 'none', '-net', 'none',
    ], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.on('error', () => done(null));
    child.on('close', () => done(null));
    child.stdout.setEncoding('latin1');
    child.stdout.on('data', (text: string) => {
      output += text;
      if (!output.includes(SHELL_READY)) return;
      done(performance.now() - began);
      child.kill();
    });
  });
}

const report: Record<string, Record<string, number | null>> = {};
const say = (cells: string[]): void => console.log(cells.map((c, i) => (i ? c.padStart(12) : c.padEnd(14))).join(''));
say(['linux', 'wall, ms', 'CPU, ms', 'qemu, ms', 'ratio']);
const beside = new Map<Bits, number | null>();
for (const { name, mode, bits } of ROWS) {
  const missing = [GUESTS[bits].kernel, GUESTS[bits].ramdisk].find((file) => !existsSync(guest(file)));
  if (missing) {
    console.log(`${name}: left out, npm run guests has not fetched ${missing}.`);
    continue;
  }
  const ours = await domain(mode, bits);
  if (!ours.shell) {
    console.log(`${name}: it did not come to its shell.`);
    continue;
  }
  if (!beside.has(bits)) beside.set(bits, await qemu(bits));
  const theirs = beside.get(bits)!;
  report[name] = { wallMs: ours.wallMs, cpuMs: ours.cpuMs, qemuMs: theirs };
  say([
    name,
    ours.wallMs.toFixed(0),
    ours.cpuMs.toFixed(0),
    theirs?.toFixed(0) ?? '-',
    theirs ? (theirs / ours.wallMs).toFixed(2) : '',
  ]);
}
const out = path.join(root, 'out', 'bench');
mkdirSync(out, { recursive: true });
writeFileSync(path.join(out, 'shell.json'), `${JSON.stringify(report, null, 2)}\n`);
