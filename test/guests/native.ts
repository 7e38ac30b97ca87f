// Runs a kernel on the bare simulated PC from a command line and shows its serial console: for people who look for faults.
//   node test/guests/native.ts KERNEL [--initrd FILE] [--append TEXT] [--memory MiB] [--vcpus N] [--mhz N]
//     [--until SECONDS of virtual time] [--expect TEXT] [--type TEXT (after --expect, or with --after TEXT)] [--screen]
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PcMachine } from '../../main/machine/platform/pc.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    initrd: { type: 'string' },
    append: { type: 'string', default: '' },
    memory: { type: 'string', default: '128' },
    vcpus: { type: 'string', default: '1' },
    mhz: { type: 'string', default: '1000' },
    until: { type: 'string', default: '10' },
    expect: { type: 'string' },
    after: { type: 'string' },
    type: { type: 'string' },
    screen: { type: 'boolean', default: false },
    state: { type: 'boolean', default: false },
  },
});

let output = '';
const machine = new PcMachine({
  ramBytes: Number(values.memory) * 1024 * 1024,
  vcpus: Number(values.vcpus),
  clockMHz: Number(values.mhz),
  epochSeconds: Date.UTC(2026, 0, 1) / 1000,
  onSerial: (byte) => {
    output += String.fromCharCode(byte);
    process.stdout.write(Uint8Array.of(byte));
  },
});
const kernel = machine.load({
  kernel: readFileSync(positionals[0]),
  ramdisk: values.initrd === undefined ? null : readFileSync(values.initrd),
  commandLine: values.append,
});
process.stderr.write(`Starting ${kernel.description} (${kernel.mode})\n`);
const started = performance.now();
const step = 10_000_000;
const end = Number(values.until) * 1e9;
let typed = false;
for (let now = step; now <= end && machine.stop === null; now += step) {
  machine.runUntil(now);
  if (!typed && values.type !== undefined && output.includes(values.after ?? '# ')) {
    typed = true;
    machine.board.serial.receive(Buffer.from(`${values.type}\n`));
  }
  if (values.expect !== undefined && output.includes(values.expect)) break;
}
const seconds = (performance.now() - started) / 1000;
const found = values.expect === undefined || output.includes(values.expect);
if (values.screen) process.stderr.write(`${machine.board.vga.text()}\n`);
if (values.state) {
  for (const vcpu of machine.vcpus) {
    const registers = Array.from({ length: 16 }, (_, index) => vcpu.getReg(index).toString(16)).join(' ');
    process.stderr.write(
      `vCPU ${vcpu.index}: rip ${vcpu.rip.toString(16)} halted ${vcpu.halted} registers ${registers}\n`,
    );
  }
}
process.stderr.write(
  `\n${machine.stop ? machine.stop.reason : 'running'} after ${(machine.now() / 1e9).toFixed(3)} s virtual, ${seconds.toFixed(1)} s wall, ` +
    `${(machine.instructions / 1e6).toFixed(1)} million instructions (${(machine.instructions / 1e6 / seconds).toFixed(0)} MIPS)` +
    `${found ? '' : `; "${values.expect}" never came`}\n`,
);
process.exitCode = found ? 0 : 1;
