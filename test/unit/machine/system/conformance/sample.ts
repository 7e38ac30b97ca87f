// The fixed samples of conformance cases whose outcome is kept.

import { LOG_32, LOG_64 } from './log.ts';
import type { LogFormat } from './log.ts';
import { conformanceProgram } from './program.ts';
import type { Program } from './program.ts';
import { conformanceProgram64 } from './program64.ts';

export interface Sample {
  name: string;
  program: (seed: number, count: number) => Program;
  format: LogFormat;
  seed: number;
  cases: number;
  expected: URL;
}

export const SAMPLES: readonly Sample[] = [
  {
    name: 'protected mode',
    program: conformanceProgram,
    format: LOG_32,
    seed: 1,
    cases: 3000,
    expected: new URL('./expected.bin.gz', import.meta.url),
  },
  {
    name: 'long mode',
    program: conformanceProgram64,
    format: LOG_64,
    seed: 1,
    cases: 3000,
    expected: new URL('./expected64.bin.gz', import.meta.url),
  },
];
