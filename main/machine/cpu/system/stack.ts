// A stack that is being pushed to or popped from: the current one, or the one a transfer is about to switch to.
// Invariant: the stack pointer register changes only in commit(); until then a fault leaves it as it was.

import { F, Seg, SegAttr } from '../layout.ts';
import { withinLimit } from './access.ts';
import type { Descriptor } from './descriptor.ts';
import { Vector, raiseError } from './fault.ts';
import type { SystemParts } from './parts.ts';
import { Reg, isCanonical } from './state.ts';

export class Stack {
  sp: number;
  readonly #parts: SystemParts;
  /** Bytes of the stack pointer in use: 2, 4 or 8. */
  readonly #width: number;
  readonly #attr: number;
  readonly #limit: number;
  readonly #base: number;
  readonly #user: boolean;
  /** Error code of a limit violation: 0 for the current stack, the selector for a new one. */
  readonly #error: number;

  constructor(
    parts: SystemParts,
    width: number,
    attr: number,
    limit: number,
    base: number,
    sp: number,
    user: boolean,
    error: number,
  ) {
    this.#parts = parts;
    this.#width = width;
    this.#attr = attr;
    this.#limit = limit;
    this.#base = base;
    this.#user = user;
    this.#error = error;
    this.sp = this.#wrap(sp);
  }

  /** The running code's stack. */
  static current(parts: SystemParts): Stack {
    const state = parts.state;
    return new Stack(
      parts,
      state.stackWidth,
      state.attr(Seg.SS),
      state.limit(Seg.SS),
      state.base(Seg.SS),
      state.regAddress(Reg.RSP),
      state.cpl === 3,
      0,
    );
  }

  /** The stack that a descriptor for SS and a stack pointer give, at privilege `cpl`. */
  static switchedTo(parts: SystemParts, ss: Descriptor, sp: number, cpl: number): Stack {
    return new Stack(parts, ss.big ? 4 : 2, ss.attr, ss.limit, ss.base, sp, cpl === 3, ss.errorCode);
  }

  /** A stack in 64-bit mode, where SS has no meaning. */
  static flat64(parts: SystemParts, sp: number, cpl: number): Stack {
    return new Stack(parts, 8, 0, 0, 0, sp, cpl === 3, 0);
  }

  #wrap(sp: number): number {
    return this.#width === 8 ? sp : this.#width === 4 ? sp >>> 0 : sp & 0xffff;
  }

  #linear(offset: number, size: number): number {
    const state = this.#parts.state;
    if (this.#width === 8) {
      if (!isCanonical(offset) || !isCanonical(offset + size - 1)) raiseError(state, Vector.SS, this.#error);
      return offset;
    }
    if ((this.#attr & SegAttr.Unusable) !== 0 || !withinLimit(this.#attr, this.#limit, offset, size)) {
      raiseError(state, Vector.SS, this.#error);
    }
    return (this.#base + offset) >>> 0;
  }

  /** Pushes `size` bytes (2, 4 or 8). */
  push(size: number, lo: number, hi = 0): void {
    const sp = this.#wrap(this.sp - size);
    this.#parts.access.writeSized(this.#linear(sp, size), size, lo, hi, this.#user);
    this.sp = sp;
  }

  /** Pushes an address of `size` bytes; a negative number is a 64-bit address with its top bits set. */
  pushAddress(size: number, value: number): void {
    this.push(size, value >>> 0, Math.floor(value / 0x1_0000_0000));
  }

  /** Reads `size` bytes at the top and moves on. The high half of 8 bytes is in access.hi. */
  pop(size: number): number {
    const lo = this.#parts.access.readSized(this.#linear(this.sp, size), size, this.#user);
    this.sp = this.#wrap(this.sp + size);
    return lo;
  }

  /** Pops an instruction or stack pointer: 8 bytes are a signed 64-bit address. */
  popAddress(size: number): number {
    const lo = this.pop(size);
    return size === 8 ? (this.#parts.access.hi | 0) * 0x1_0000_0000 + lo : lo;
  }

  /** Skips bytes, as RET n does. */
  release(bytes: number): void {
    this.sp = this.#wrap(this.sp + bytes);
  }

  /** Writes the stack pointer register: its low 16 bits only on a 16-bit stack. */
  commit(): void {
    const state = this.#parts.state;
    if (this.#width === 2) state.setReg16(Reg.RSP, this.sp);
    else state.setAddress(Reg.RSP * 8, this.sp);
  }
}

/** Inner stacks in the TSS. */
export interface InnerStack {
  selector: number;
  sp: number;
}

/** SS:ESP of privilege level `level` from the current 16- or 32-bit TSS (SDM vol. 3, 7.2.1). Raises #TS(TR). */
export function innerStack(parts: SystemParts, level: number): InnerStack {
  const { state, access } = parts;
  const tss32 = (state.attr(Seg.TR) & 8) !== 0;
  const offset = tss32 ? 4 + 8 * level : 2 + 4 * level;
  const last = offset + (tss32 ? 5 : 3);
  if (last > state.limit(Seg.TR)) raiseError(state, Vector.TS, state.selector(Seg.TR) & 0xfffc);
  const at = (state.base(Seg.TR) + offset) >>> 0;
  if (tss32) return { sp: access.read32(at, false), selector: access.read16((at + 4) >>> 0, false) };
  return { sp: access.read16(at, false), selector: access.read16((at + 2) >>> 0, false) };
}

/** A stack pointer from the 64-bit TSS: RSP0..2 are indices 0..2, IST1..7 are indices 4..10. Raises #TS(TR), #SS(0). */
export function innerStack64(parts: SystemParts, index: number): number {
  const { state, access } = parts;
  const offset = 4 + 8 * index;
  if (offset + 7 > state.limit(Seg.TR)) raiseError(state, Vector.TS, state.selector(Seg.TR) & 0xfffc);
  const sp = access.readAddress(state.base(Seg.TR) + offset, false);
  if (!isCanonical(sp)) raiseError(state, Vector.SS, 0);
  return sp;
}

/** Clears what a delivered event or a far transfer ends: the interrupt shadow and HLT. */
export function endWait(parts: SystemParts): void {
  parts.state.set32(F.shadow, 0);
  parts.state.set32(F.halted, 0);
}
