// Random code: bytes, rows of the instruction table with random operands, and rows with some bytes changed.

import type { Encoding, Instruction } from '../../main/machine/isa/instruction.ts';
import { INSTRUCTIONS } from '../../main/machine/isa/table.ts';
import type { Random } from './random.ts';

export const ENCODINGS = INSTRUCTIONS.flatMap((instruction) =>
  instruction.encodings.map((encoding) => ({ instruction, encoding })),
);
const MANDATORY = [null, 0x66, 0xf3, 0xf2];
const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** Bytes of a row of the instruction table with random operands and prefixes; long enough whatever its immediates are. */
export function encodingBytes(
  r: Random,
  { instruction, encoding: e }: { instruction: Instruction; encoding: Encoding },
  long: boolean,
): number[] {
  const out: number[] = [];
  if (r.chance(4)) out.push(r.pick(PREFIXES));
  if (instruction.name === 'movs' || instruction.name === 'stos') if (r.chance(2)) out.push(0xf3);
  if (e.prefixes.length === 1 && e.prefixes[0]) out.push(MANDATORY[e.prefixes[0]]!);
  if (long && r.chance(2)) out.push(0x40 | r.below(16));
  if (e.map > 0) out.push(0x0f);
  if (e.map > 1) out.push(e.map === 2 ? 0x38 : 0x3a);
  out.push(e.plusRegister ? (e.opcode & 0xf8) | r.below(8) : e.opcode);
  if (e.modrm) {
    const modrm = e.modrmBytes
      ? e.modrmBytes[0] + r.below(e.modrmBytes[1] - e.modrmBytes[0] + 1)
      : (r.below(256) & 0xc7) | ((e.digit ?? r.below(8)) << 3);
    out.push(modrm);
    // SIB or a short displacement; sometimes an address in the data area
    if ((modrm & 0xc7) === 5 || (modrm & 0xc7) === 6)
      out.push(r.below(256), r.chance(2) ? 0x80 : r.below(256), long ? 0 : 1, 0);
    else if (modrm < 0xc0) for (let n = 0; n < modrm >> 6; n++) out.push(r.below(256));
  }
  if (e.operands.some((o) => 'IJOP'.includes(o.kind)))
    out.push(r.below(256), r.chance(2) ? 0 : r.below(256), r.chance(2) ? 1 : r.below(256), 0);
  return out;
}

/** Random code of one of three kinds: bytes, rows of the table, rows with some bytes changed. */
export function randomCode(r: Random, bytes: Uint8Array, long: boolean): void {
  const kind = r.below(4);
  for (let at = 0; at < bytes.length;) {
    if (kind === 0) {
      bytes[at++] = r.below(256);
      continue;
    }
    const row = encodingBytes(r, r.pick(ENCODINGS), long);
    if (kind === 1 && r.chance(3)) row[r.below(row.length)] = r.below(256);
    for (const b of row) if (at < bytes.length) bytes[at++] = b;
  }
}
