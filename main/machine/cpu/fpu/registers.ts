// The floating-point state by name: x87 stack, control, status and tag words, pointers, MXCSR.
// Invariant: F.fpStatus holds the exception flags (bits 0-6) and C0-C3 only; TOP, ES and B are put in when the word is read, so that
// they are always true to F.fpTop and to the control word (SDM vol. 1, 8.1.3).

import { F, OP, STATE, Seg } from '../layout.ts';
import { Vector, raise } from '../system/fault.ts';
import type { SystemParts } from '../system/parts.ts';
import { Cr0, Cr4 } from '../system/state.ts';
import type { CpuState } from '../system/state.ts';

/** Exception flags of status words, control-word masks and MXCSR (bits 0-5), and the stack-fault flag. */
export const Flag = {
  Invalid: 1,
  Denormal: 2,
  ZeroDivide: 4,
  Overflow: 8,
  Underflow: 16,
  Precision: 32,
  StackFault: 64,
} as const;
/** Condition bits of the status word. */
export const Condition = { C0: 0x100, C1: 0x200, C2: 0x400, C3: 0x4000 } as const;
export const MXCSR_MASK = 0xffff;
/** Bits of a control word that can be set; bit 6 always reads as 1. */
const CONTROL_BITS = 0x1f3f;

export class FpuRegisters {
  readonly state: CpuState;
  readonly #view: DataView;

  constructor(parts: SystemParts) {
    this.state = parts.state;
    this.#view = new DataView(parts.state.u8.buffer);
  }

  get top(): number {
    return this.state.get32(F.fpTop) & 7;
  }
  set top(v: number) {
    this.state.set32(F.fpTop, v & 7);
  }
  get control(): number {
    return (this.state.get32(F.fpControl) & CONTROL_BITS) | 0x40;
  }
  set control(v: number) {
    this.state.set32(F.fpControl, (v & CONTROL_BITS) | 0x40);
  }
  /** Flags and conditions, without TOP, ES and B. */
  get flags(): number {
    return this.state.get32(F.fpStatus);
  }
  set flags(v: number) {
    this.state.set32(F.fpStatus, v & 0x477f);
  }
  /** An unmasked exception is pending. */
  get pending(): boolean {
    return (this.flags & ~this.control & 0x3f) !== 0;
  }
  /** The status word as the program sees it. */
  get status(): number {
    return this.flags | (this.top << 11) | (this.pending ? 0x8080 : 0);
  }
  set status(v: number) {
    this.flags = v;
    this.top = v >>> 11;
  }
  /** Bit n = physical register n is in use. */
  get inUse(): number {
    return this.state.get32(F.fpTags) & 0xff;
  }
  set inUse(v: number) {
    this.state.set32(F.fpTags, v & 0xff);
  }
  get mxcsr(): number {
    return this.state.get32(F.mxcsr);
  }
  set mxcsr(v: number) {
    this.state.set32(F.mxcsr, v);
  }

  /** Physical register number of ST(i). */
  physical(i: number): number {
    return (this.top + i) & 7;
  }
  isEmpty(i: number): boolean {
    return ((this.inUse >>> this.physical(i)) & 1) === 0;
  }
  significand(physical: number): bigint {
    return this.#view.getBigUint64(STATE + F.fpr + physical * 16, true);
  }
  signExponent(physical: number): number {
    return this.#view.getUint16(STATE + F.fpr + physical * 16 + 8, true);
  }
  /** Writes a physical register and its unused bytes; does not touch tags. */
  setPhysical(physical: number, significand: bigint, signExponent: number): void {
    const at = STATE + F.fpr + physical * 16;
    this.#view.setBigUint64(at, significand, true);
    this.#view.setBigUint64(at + 8, BigInt(signExponent), true);
  }

  /** The full tag word: 2 bits a register: valid 0, zero 1, special 2, empty 3 (SDM vol. 1, 8.1.7). */
  get tagWord(): number {
    let word = 0;
    for (let n = 0; n < 8; n++) word |= this.#tag(n) << (2 * n);
    return word;
  }
  set tagWord(word: number) {
    let bits = 0;
    for (let n = 0; n < 8; n++) if (((word >>> (2 * n)) & 3) !== 3) bits |= 1 << n;
    this.inUse = bits;
  }
  #tag(n: number): number {
    if (((this.inUse >>> n) & 1) === 0) return 3;
    const exponent = this.signExponent(n) & 0x7fff;
    const significand = this.significand(n);
    if (exponent === 0 && significand === 0n) return 1;
    return exponent === 0 || exponent === 0x7fff || significand >> 63n === 0n ? 2 : 0;
  }

  /** FNINIT: SDM vol. 2, FINIT. Register contents stay. */
  initialize(): void {
    this.control = 0x37f;
    this.flags = 0;
    this.top = 0;
    this.inUse = 0;
    this.state.set32(F.fpOpcode, 0);
    this.state.set32(F.fpCs, 0);
    this.state.set32(F.fpDs, 0);
    this.state.set64(F.fpIp, 0, 0);
    this.state.set64(F.fpDp, 0, 0);
  }

  /** Remembers where a non-control instruction was, and its memory operand's offset if it has one. */
  notePointers(op: number, dataOffset: number | null): void {
    const { state } = this;
    state.set32(F.fpOpcode, state.u32[(op + OP.bytes) >>> 2]! & 0x7ff);
    state.setAddress(F.fpIp, state.rip);
    state.set32(F.fpCs, state.selector(Seg.CS));
    if (dataOffset === null) return;
    state.setAddress(F.fpDp, dataOffset);
    state.set32(F.fpDs, state.selector(state.u8[op + OP.seg]!));
  }

  // ---- availability (SDM vol. 3, table 2-2, 13.1)

  /** Raises #NM if x87 instructions are not to be executed. */
  requireX87(): void {
    if ((this.state.get32(F.cr0) & (Cr0.EM | Cr0.TS)) !== 0) raise(this.state, Vector.NM);
  }
  /** Raises #UD or #NM if SSE instructions are not to be executed. */
  requireSse(): void {
    const cr0 = this.state.get32(F.cr0);
    if ((cr0 & Cr0.EM) !== 0 || (this.state.get32(F.cr4) & Cr4.OSFXSR) === 0) raise(this.state, Vector.UD);
    if ((cr0 & Cr0.TS) !== 0) raise(this.state, Vector.NM);
  }
  /**
   * Raises #MF if an unmasked exception is pending. With CR0.NE clear a PC would signal IRQ 13 by FERR#; this machine has no such
   * line, so that instructions go on as if IGNNE# were asserted (SDM vol. 1, 8.7.1).
   */
  requireNoPending(): void {
    if (this.pending && (this.state.get32(F.cr0) & Cr0.NE) !== 0) raise(this.state, Vector.MF);
  }
}
