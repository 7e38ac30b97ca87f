// The logs of the conformance programs, and what is left out of the comparison with QEMU.

import { RECORD_BYTES } from './program.ts';
import { RECORD_BYTES_64 } from './program64.ts';

/** How a program's records are made. */
export interface LogFormat {
  recordBytes: number;
  /** Name of each dword of a record. */
  fields: readonly string[];
  /** Clears what may differ from one right processor to another. */
  normalise(record: Uint32Array): void;
}

const EFLAGS_RF = 0x1_0000;
const CODE_OR_DATA = 0x1000;
const ACCESSED = 0x100;
const PAGE_FAULT = 14;

/** QEMU does not set the accessed bit of a descriptor in far returns. */
function ignoreAccessed(record: Uint32Array, highs: readonly number[]): void {
  for (const i of highs) if ((record[i] & CODE_OR_DATA) !== 0) record[i] |= ACCESSED;
}

export const LOG_32: LogFormat = {
  recordBytes: RECORD_BYTES,
  // prettier-ignore
  fields: ['gs', 'fs', 'es', 'ds', 'edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax', 'vector', 'error', 'eip', 'cs', 'eflags',
    'outer esp', 'outer ss', 'slot 0', 'slot 0 high', 'slot 1', 'slot 1 high', 'slot 2', 'slot 2 high', 'slot 3', 'slot 3 high'],
  normalise(record) {
    // Intel's processors do not write the upper half of a pushed segment register
    for (let i = 0; i < 4; i++) record[i] &= 0xffff;
    // QEMU never sets RF in the flags that a fault pushes
    record[16] &= ~EFLAGS_RF;
    ignoreAccessed(record, [20, 22, 24, 26]);
  },
};

const VECTOR_64 = 22;
const ERROR_64 = 24;
const GATE_ERROR = 0x41 * 8 + 2;

export const LOG_64: LogFormat = {
  recordBytes: RECORD_BYTES_64,
  fields: [
    'gs',
    'fs',
    'es',
    'ds',
    'cr2',
    'rdi',
    'rsi',
    'rbx',
    'rdx',
    'rcx',
    'rax',
    'vector',
    'error',
    'rip',
    'cs',
    'rflags',
    'rsp',
    'ss',
  ]
    .concat(['slot 0', 'slot 1', 'slot 2', 'slot 3', 'first entry', 'second entry', 'directory entry'])
    .flatMap((name) => [name, `${name} high`]),
  normalise(record) {
    record[30] &= ~EFLAGS_RF;
    ignoreAccessed(record, [37, 39, 41, 43]);
    // When a walk fails further down, the directory entry may or may not have been marked accessed
    record[48] |= 0x20;
    // QEMU leaves P out of a reserved-bit fault's error code (SDM vol. 3, 4.7: it is set), and counts gates of 16 bytes by two
    if (record[VECTOR_64] === PAGE_FAULT && (record[ERROR_64] & 8) !== 0) record[ERROR_64] |= 1;
    if (record[ERROR_64] === 0x41 * 16 + 2) record[ERROR_64] = GATE_ERROR;
  },
};

/** A normalised copy of a log. */
export function normalise(format: LogFormat, log: Uint8Array): Uint32Array {
  const words = new Uint32Array(log.slice(0, log.length - (log.length % format.recordBytes)).buffer);
  const length = format.fields.length;
  for (let at = 0; at < words.length; at += length) format.normalise(words.subarray(at, at + length));
  return words;
}

/** One line for each case whose records differ. */
export function differences(
  format: LogFormat,
  ours: Uint32Array,
  reference: Uint32Array,
  cases: readonly string[],
): string[] {
  const lines: string[] = [];
  for (let n = 0; n < cases.length; n++) {
    const at = n * format.fields.length;
    const fields = format.fields.flatMap((name, i) => {
      const [a, b] = [ours[at + i], reference[at + i]];
      return a === b ? [] : [`${name} ${a?.toString(16)} instead of ${b?.toString(16)}`];
    });
    if (fields.length > 0) lines.push(`case ${n}, ${cases[n]}: ${fields.join(', ')}`);
  }
  return lines;
}
