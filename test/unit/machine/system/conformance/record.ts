// Records what QEMU makes of the conformance program: run it with Node after changing the program.

import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { normalise } from './log.ts';
import { conformanceProgram } from './program.ts';
import { runOnQemu } from './run-qemu.ts';
import { CASES, EXPECTED, SEED } from './sample.ts';

const log = runOnQemu(conformanceProgram(SEED, CASES).image);
if (log === null) {
  console.error('QEMU is not installed: install qemu-system-i386 to record the expectations.');
  process.exitCode = 1;
} else {
  writeFileSync(EXPECTED, gzipSync(new Uint8Array(normalise(log).buffer), { level: 9 }));
  console.log(`Recorded ${CASES} cases.`);
}
