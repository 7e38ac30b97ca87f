// Records what QEMU makes of the conformance programs: run it with Node after changing one of them.

import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { normalise } from './log.ts';
import { runOnQemu } from './run-qemu.ts';
import { SAMPLES } from './sample.ts';

for (const { name, program, format, seed, cases, expected } of SAMPLES) {
  const log = runOnQemu(program(seed, cases).image);
  if (log === null) {
    console.error('QEMU is not installed: install qemu-system-x86 to record the expectations.');
    process.exitCode = 1;
    break;
  }
  writeFileSync(expected, gzipSync(new Uint8Array(normalise(format, log).buffer), { level: 9 }));
  console.log(`Recorded ${cases} cases in ${name}.`);
}
