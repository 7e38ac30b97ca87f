// Column: Debian's Linux 686 on our bare machine to a shell: linux.ts KERNEL RAMDISK COMMAND-LINE. Prints CPU milliseconds, machine
// and all, as JSON in the form of a kernel's column.
import { readFileSync } from 'node:fs';
import { PcMachine } from '../../main/machine/platform/pc.ts';
import { SHELL_READY, cpuMs } from './marks.ts';

const [kernel, ramdisk, commandLine] = process.argv.slice(2) as [string, string, string];
let output = '';
const begin = cpuMs();
const machine = new PcMachine({
  ramBytes: 128 * 1024 * 1024,
  vcpus: 1,
  clockMHz: 1000,
  epochSeconds: 0,
  onSerial: (byte) => (output += String.fromCharCode(byte)),
});
machine.load({ kernel: readFileSync(kernel), ramdisk: readFileSync(ramdisk), commandLine });
for (let until = 1e7; !output.includes(SHELL_READY) && machine.stop === null; until += 1e7) machine.runUntil(until);
const done = output.includes(SHELL_READY);
console.log(
  JSON.stringify({
    linux686: { checksum: done ? 'shell' : 'none', ms: [cpuMs() - begin], instructions: machine.instructions },
  }),
);
