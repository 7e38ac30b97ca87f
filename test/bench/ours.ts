// Column: the simulated CPU of Bulkhead, bare machine: ours.ts IMAGE [COMMAND LINE]. Prints the column as JSON.
// BULKHEAD_TIER in the environment chooses the tier, as everywhere.
import { readFileSync } from 'node:fs';
import { PcMachine } from '../../main/machine/platform/pc.ts';
import { Marks, cpuMs } from './marks.ts';

const marks = new Marks(cpuMs);
const machine = new PcMachine({
  ramBytes: 128 * 1024 * 1024,
  vcpus: 1,
  clockMHz: 1000,
  epochSeconds: 0,
  onSerial: (byte) => marks.put(String.fromCharCode(byte)),
});
machine.load({ kernel: readFileSync(process.argv[2]!), ramdisk: null, commandLine: process.argv[3] ?? '' });
for (let until = 1e7; !marks.done && machine.stop === null; until += 1e7) machine.runUntil(until);
console.log(JSON.stringify(marks.column));
