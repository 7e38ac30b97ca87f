// The log of a conformance program, and what is left out of the comparison with QEMU.

import { RECORD_BYTES } from './program.ts';

/** Dwords of a record, in order. */
// prettier-ignore
const FIELDS = ['gs', 'fs', 'es', 'ds', 'edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax', 'vector', 'error', 'eip', 'cs',
  'eflags', 'outer esp', 'outer ss', 'slot 0', 'slot 0 high', 'slot 1', 'slot 1 high', 'slot 2', 'slot 2 high', 'slot 3', 'slot 3 high'];
const EFLAGS_RF = 0x1_0000;
const CODE_OR_DATA = 0x1000;
const ACCESSED = 0x100;

/**
 * A copy without what may differ: the upper half of a pushed segment register (not written by Intel's processors), RF in the flags
 * pushed by a fault (QEMU never sets it) and the accessed bit of descriptors (QEMU does not set it in far returns).
 */
export function normalise(log: Uint8Array): Uint32Array {
  const words = new Uint32Array(log.slice(0, log.length - (log.length % RECORD_BYTES)).buffer);
  for (let at = 0; at < words.length; at += FIELDS.length) {
    for (let i = 0; i < 4; i++) words[at + i] &= 0xffff;
    words[at + 16] &= ~EFLAGS_RF;
    for (let i = 20; i < FIELDS.length; i += 2) {
      if ((words[at + i] & CODE_OR_DATA) !== 0) words[at + i] |= ACCESSED;
    }
  }
  return words;
}

/** One line for each case whose records differ. */
export function differences(ours: Uint32Array, reference: Uint32Array, cases: readonly string[]): string[] {
  const lines: string[] = [];
  for (let n = 0; n < cases.length; n++) {
    const at = n * FIELDS.length;
    const fields = FIELDS.flatMap((name, i) => {
      const [a, b] = [ours[at + i], reference[at + i]];
      return a === b ? [] : [`${name} ${a?.toString(16)} instead of ${b?.toString(16)}`];
    });
    if (fields.length > 0) lines.push(`case ${n}, ${cases[n]}: ${fields.join(', ')}`);
  }
  return lines;
}
