// The code mode: everything about the CPU's state that changes how bytes decode or how memory operands are addressed.
// Invariant: decoded operations belong to exactly one key, so two states with equal keys may share them.

import { Seg, SegAttr } from './layout.ts';

/** Bits of F.mode. Bits 0-1 hold the code size. */
export const ModeKey = {
  CodeSizeMask: 3,
  Code16: 0,
  Code32: 1,
  Code64: 2,
  /** SS.B: pushes and pops use ESP. Clear in 64-bit mode, where they always use RSP. */
  Stack32: 4,
  /** ES, SS and DS are flat up to F.flatLimit: a data access needs no segment check beyond the TLB. Always set in 64-bit mode. */
  Flat: 8,
  /** Virtual-8086 mode. */
  Vm86: 16,
  /** CS has base 0 and limit 0xffffffff (or the mode is 64-bit): EIP is a linear address. */
  FlatCode: 32,
} as const;

/** The key of all 64-bit code. */
export const MODE_KEY_64 = ModeKey.Code64 | ModeKey.Flat | ModeKey.FlatCode;

/** 32-bit code with everything flat. */
export const FLAT_32 = ModeKey.Code32 | ModeKey.Stack32 | ModeKey.Flat | ModeKey.FlatCode;

/** Segments with a lower limit are never treated as flat: too many pages would straddle it. */
export const MIN_FLAT_LIMIT = 64 * 1024 * 1024 - 1;

/** What the key depends on; segment arrays are indexed by Seg. */
export interface ModeInputs {
  longModeActive: boolean;
  vm86: boolean;
  attr(segment: number): number;
  limit(segment: number): number;
  baseIsZero(segment: number): boolean;
}

const FLAT_NEEDS = SegAttr.RW | SegAttr.NotSystem | SegAttr.Present | SegAttr.G;
const FLAT_FORBIDS = SegAttr.DC | SegAttr.Code | SegAttr.Unusable;

/** True if every byte up to the segment's limit can be read and written at linear address = offset. */
export function isFlatData(input: ModeInputs, segment: number): boolean {
  const attr = input.attr(segment);
  return (
    (attr & FLAT_NEEDS) === FLAT_NEEDS &&
    (attr & FLAT_FORBIDS) === 0 &&
    input.baseIsZero(segment) &&
    input.limit(segment) >= MIN_FLAT_LIMIT
  );
}

/** Computes the key of a state (SDM vol. 3, 3.4.5 and 5.2.1). */
export function modeKey(input: ModeInputs): number {
  const code = input.attr(Seg.CS);
  if (input.longModeActive && (code & SegAttr.L) !== 0) return MODE_KEY_64;
  let key: number = (code & SegAttr.DB) !== 0 ? ModeKey.Code32 : ModeKey.Code16;
  if ((input.attr(Seg.SS) & SegAttr.DB) !== 0) key |= ModeKey.Stack32;
  if (isFlatData(input, Seg.ES) && isFlatData(input, Seg.SS) && isFlatData(input, Seg.DS)) key |= ModeKey.Flat;
  if (input.vm86) key |= ModeKey.Vm86;
  if (input.baseIsZero(Seg.CS) && input.limit(Seg.CS) === 0xffff_ffff) key |= ModeKey.FlatCode;
  return key;
}
