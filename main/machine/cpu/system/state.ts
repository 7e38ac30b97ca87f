// Named access to the running vCPU's state in the host's memory.
// Invariant: linear addresses and 64-bit offsets travel as JavaScript numbers holding the *signed* 64-bit value. Every canonical
// address is exact in a double; a value that is not exact is not canonical, and is caught by that check. Outside 64-bit mode they
// are unsigned 32-bit numbers.

import type { CodeBreakpoints } from './code-breakpoints.ts';
import { F, GPR, OP, OpFlag, Seg, SegAttr, STATE, TLB_SUPERVISOR, TLB_USER } from '../layout.ts';
import { MODE_KEY_64, ModeKey, modeKey } from '../mode.ts';
import { carefulBits } from './debug-registers.ts';
import type { ModeInputs } from '../mode.ts';
import type { SystemMemory } from './context.ts';

const TWO32 = 0x1_0000_0000;

/** Bits of EFLAGS. */
export const Eflags = {
  CF: 1,
  Fixed: 2,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x1_0000,
  VM: 0x2_0000,
  AC: 0x4_0000,
  VIF: 0x8_0000,
  VIP: 0x10_0000,
  ID: 0x20_0000,
} as const;
export const ARITHMETIC_FLAGS = Eflags.CF | Eflags.PF | Eflags.AF | Eflags.ZF | Eflags.SF | Eflags.OF;

export const Cr0 = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x1_0000,
  AM: 0x4_0000,
  NW: 0x2000_0000,
  CD: 0x4000_0000,
  PG: 0x8000_0000,
} as const;

export const Cr4 = {
  VME: 1,
  PVI: 2,
  TSD: 4,
  DE: 8,
  PSE: 0x10,
  PAE: 0x20,
  MCE: 0x40,
  PGE: 0x80,
  PCE: 0x100,
  OSFXSR: 0x200,
  OSXMMEXCPT: 0x400,
  FSGSBASE: 0x1_0000,
} as const;

export const Efer = { SCE: 1, LME: 0x100, LMA: 0x400, NXE: 0x800 } as const;

/** General register numbers. */
export const Reg = { RAX: 0, RCX: 1, RDX: 2, RBX: 3, RSP: 4, RBP: 5, RSI: 6, RDI: 7, R11: 11 } as const;

/** True if the signed 64-bit value is a canonical 48-bit address (SDM vol. 1, 3.3.7.1). */
export function isCanonical(address: number): boolean {
  return address >= -0x8000_0000_0000 && address < 0x8000_0000_0000;
}

/** The signed 64-bit value hi:lo as a number. Exact for canonical addresses. */
export function toNumber(lo: number, hi: number): number {
  return (hi | 0) * TWO32 + (lo >>> 0);
}

/** High half of a number made by toNumber(). */
export function highHalf(value: number): number {
  return Math.floor(value / TWO32) | 0;
}

export class CpuState implements ModeInputs {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  /** EXT bit of selector error codes: 1 while an event from outside the program is being delivered (SDM vol. 3, 6.13). */
  external = 0;
  /** A debugger's breakpoints, or null. */
  breakpoints: CodeBreakpoints | null = null;

  constructor(mem: SystemMemory) {
    this.u8 = mem.u8;
    this.u16 = mem.u16;
    this.u32 = mem.u32;
    this.i32 = mem.i32;
  }

  // ---- fields

  /** A 32-bit field of F, unsigned. */
  get32(field: number): number {
    return this.u32[(STATE + field) >>> 2];
  }

  set32(field: number, value: number): void {
    this.u32[(STATE + field) >>> 2] = value;
  }

  /** High half of a 64-bit field of F, unsigned. */
  getHigh(field: number): number {
    return this.u32[(STATE + field + 4) >>> 2];
  }

  set64(field: number, lo: number, hi: number): void {
    const at = (STATE + field) >>> 2;
    this.u32[at] = lo;
    this.u32[at + 1] = hi;
  }

  /** A 64-bit field as a signed number: for addresses only. */
  getAddress(field: number): number {
    const at = (STATE + field) >>> 2;
    return this.i32[at + 1] * TWO32 + this.u32[at];
  }

  /** A 32-bit number in an address field is zero-extended, a negative one sign-extended. */
  setAddress(field: number, value: number): void {
    const at = (STATE + field) >>> 2;
    this.u32[at] = value;
    this.i32[at + 1] = highHalf(value);
  }

  // ---- general registers

  regLo(index: number): number {
    return this.u32[(STATE + GPR + index * 8) >>> 2];
  }

  regHi(index: number): number {
    return this.u32[(STATE + GPR + index * 8 + 4) >>> 2];
  }

  regAddress(index: number): number {
    return this.getAddress(GPR + index * 8);
  }

  setReg64(index: number, lo: number, hi: number): void {
    this.set64(GPR + index * 8, lo, hi);
  }

  /** A 32-bit write, which clears the upper half (in every mode: outside 64-bit mode the upper half cannot be seen). */
  setReg32(index: number, value: number): void {
    this.set64(GPR + index * 8, value, 0);
  }

  setReg16(index: number, value: number): void {
    this.u16[(STATE + GPR + index * 8) >>> 1] = value;
  }

  /** Writes AL, CL, DL or BL. */
  setReg8Low(index: number, value: number): void {
    this.u8[STATE + GPR + index * 8] = value;
  }

  /** Writes 2, 4 or 8 bytes of a register by the operand-size rules. */
  setRegSized(index: number, size: number, lo: number, hi: number): void {
    if (size === 2) this.setReg16(index, lo);
    else this.setReg64(index, lo, size === 8 ? hi : 0);
  }

  // ---- instruction pointer and stack pointer

  get rip(): number {
    return this.getAddress(F.rip);
  }

  set rip(value: number) {
    this.setAddress(F.rip, value);
  }

  /** Address of the instruction after the one of record `op`, wrapped to the code size's 32 or 64 bits. */
  nextRip(op: number): number {
    const next = this.getAddress(F.rip) + this.u8[op + OP.length];
    return this.in64 ? next : next % TWO32;
  }

  /** Bytes of the stack pointer that are in use: 2, 4 or 8. */
  get stackWidth(): number {
    if (this.in64) return 8;
    return (this.attr(Seg.SS) & SegAttr.DB) !== 0 ? 4 : 2;
  }

  // ---- modes

  get cpl(): number {
    return this.get32(F.cpl);
  }

  get eflags(): number {
    return this.get32(F.eflags);
  }

  get protectedMode(): boolean {
    return (this.get32(F.cr0) & Cr0.PE) !== 0;
  }

  get vm86(): boolean {
    return (this.get32(F.eflags) & Eflags.VM) !== 0;
  }

  /** Real-address or virtual-8086 mode: segments are paragraphs. */
  get paragraphMode(): boolean {
    return (this.get32(F.cr0) & Cr0.PE) === 0 || (this.get32(F.eflags) & Eflags.VM) !== 0;
  }

  get longModeActive(): boolean {
    return (this.get32(F.efer) & Efer.LMA) !== 0;
  }

  /** 64-bit mode (not compatibility mode). */
  get in64(): boolean {
    return (this.get32(F.mode) & ModeKey.CodeSizeMask) === ModeKey.Code64;
  }

  get iopl(): number {
    return (this.get32(F.eflags) >>> 12) & 3;
  }

  // ---- segments

  selector(segment: number): number {
    return this.u32[(STATE + F.selector + segment * 4) >>> 2];
  }

  attr(segment: number): number {
    return this.u32[(STATE + F.segAttr + segment * 4) >>> 2];
  }

  limit(segment: number): number {
    return this.u32[(STATE + F.segLimit + segment * 4) >>> 2];
  }

  base(segment: number): number {
    return this.getAddress(F.segBase + segment * 8);
  }

  baseIsZero(segment: number): boolean {
    const at = (STATE + F.segBase + segment * 8) >>> 2;
    return (this.i32[at] | this.i32[at + 1]) === 0;
  }

  setSegment(segment: number, selector: number, base: number, limit: number, attr: number): void {
    this.u32[(STATE + F.selector + segment * 4) >>> 2] = selector;
    this.u32[(STATE + F.segAttr + segment * 4) >>> 2] = attr;
    this.u32[(STATE + F.segLimit + segment * 4) >>> 2] = limit;
    this.setAddress(F.segBase + segment * 8, base);
  }

  setSelector(segment: number, selector: number): void {
    this.u32[(STATE + F.selector + segment * 4) >>> 2] = selector;
  }

  setAttr(segment: number, attr: number): void {
    this.u32[(STATE + F.segAttr + segment * 4) >>> 2] = attr;
  }

  // ---- operation records

  /** Operand size of an operation in bytes, as its flags say: 2, 4 or 8. */
  operandSize(op: number): number {
    const flags = this.u8[op + OP.flags];
    return (flags & OpFlag.OpSize64) !== 0 ? 8 : (flags & OpFlag.OpSize16) !== 0 ? 2 : 4;
  }

  /** Operand size of pushes and pops, which is never 4 in 64-bit mode (SDM vol. 1, 6.2.2). */
  stackOperandSize(op: number): number {
    if ((this.u8[op + OP.flags] & OpFlag.OpSize16) !== 0) return 2;
    return this.in64 ? 8 : 4;
  }

  /** Address size of an operation in bytes. */
  addressSize(op: number): number {
    const flags = this.u8[op + OP.flags];
    if ((flags & OpFlag.Addr16) !== 0) return 2;
    if ((flags & OpFlag.Addr32) !== 0) return 4;
    const code = this.get32(F.mode) & ModeKey.CodeSizeMask;
    return code === ModeKey.Code64 ? 8 : code === ModeKey.Code32 ? 4 : 2;
  }

  /** The ModRM byte of an operation. */
  modrm(op: number): number {
    return this.u8[op + OP.bytes];
  }

  modrmIsRegister(op: number): boolean {
    return this.u8[op + OP.bytes] >= 0xc0;
  }

  /** Number of the ModRM.reg operand with REX.R. */
  regField(op: number): number {
    return ((this.u8[op + OP.bytes] >> 3) & 7) | ((this.u8[op + OP.bytes + 2] & 4) << 1);
  }

  /** Number of the ModRM.rm register with REX.B. */
  rmField(op: number): number {
    return (this.u8[op + OP.bytes] & 7) | ((this.u8[op + OP.bytes + 2] & 1) << 3);
  }

  immLo(op: number): number {
    return this.u32[(op + OP.imm) >>> 2];
  }

  immHi(op: number): number {
    return this.u32[(op + OP.imm + 4) >>> 2];
  }

  // ---- derived state

  setExit(exit: number, info0: number, info1: number, info2: number, info3: number): void {
    this.set32(F.exit, exit);
    this.set32(F.exitInfo0, info0);
    this.set32(F.exitInfo1, info1);
    this.set32(F.exitInfo2, info2);
    this.set32(F.exitInfo3, info3);
  }

  /** Keeps F.tlb true after F.cpl changed. */
  updateTlbSelect(): void {
    this.set32(F.tlb, this.get32(F.cpl) === 3 ? TLB_USER : TLB_SUPERVISOR);
  }

  /**
   * Keeps F.mode, F.tlb, F.flatLimit and F.careful true after segments, CR0, CR4.DE, EFER, CPL, DR7 or EFLAGS.VM and AC changed.
   * Returns 0 if nothing changed, 1 if the key did, 2 if the TLBs hold pages that may not be there any more and must be flushed.
   */
  recomputeMode(): number {
    this.updateTlbSelect();
    const careful = carefulBits(this);
    const more = (careful & ~this.get32(F.careful)) !== 0;
    this.set32(F.careful, careful);
    const changed = this.#recomputeKey();
    return more ? 2 : changed;
  }

  #recomputeKey(): number {
    const old = this.get32(F.mode);
    const key = modeKey(this);
    this.set32(F.mode, key);
    const changed = key === old ? 0 : 1;
    const oldLimit = this.get32(F.flatLimit);
    if ((key & ModeKey.Flat) === 0) {
      // Accesses check their segment themselves, so any page may be in a TLB; 0 is the power-on value
      if (oldLimit === 0) this.set32(F.flatLimit, 0xffff_ffff);
      return changed;
    }
    const limit =
      key === MODE_KEY_64 ? 0xffff_ffff : Math.min(this.limit(Seg.ES), this.limit(Seg.SS), this.limit(Seg.DS));
    this.set32(F.flatLimit, limit);
    return limit < oldLimit ? 2 : changed;
  }
}
