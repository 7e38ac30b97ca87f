// The language in which instruction meanings are written. A meaning is a function over `Semantics`; what it calls writes WebAssembly.
// Values: operands of 8, 16 and 32 bits are i32 (zero-extended when read; the upper bits of a result may be anything), of 64 bits i64.
// Linear addresses are i32 outside 64-bit mode and i64 in it (type `AddressType`).

import { STATE, F, GPR, FlagKind } from '../cpu/layout.ts';
import { E, i32, i64, konst, select, type Arg } from '../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../wasm/function.ts';
import type { Instruction, Operand, Size } from './instruction.ts';

export const REG = { AX: 0, CX: 1, DX: 2, BX: 3, SP: 4, BP: 5, SI: 6, DI: 7 } as const;
export const VECTOR = {
  DE: 0,
  DB: 1,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const;
export type FlagKindName = keyof typeof FlagKind;

export type ShiftKind = 'Shl' | 'Shr' | 'Sar';

/** MXCSR without its flags; that part when all exceptions are masked and everything else is at its default; PE (SDM vol. 1, 10.2.3). */
export const MXCSR_CONTROL = 0xffc0;
export const MXCSR_DEFAULT = 0x1f80;
export const MXCSR_PRECISION = 0x20;
const NONE = i32(0);

const bitAt = (v: E, n: number): E => v.shrU(BigInt(n)).lo().and(1);
/** CF and OF of a shift of `a` (i64 local, see Semantics.normalWide) by `c` (i32, not 0). */
export function shiftFlags(save: (e: E) => Local, kind: ShiftKind, size: Size, a: E, c: E): { cf: E; of: E } {
  if (kind === 'Shl') {
    const c64 = save(c.zx());
    const r = save(a.shl(c64));
    const cf = save(size === 64 ? a.shrU(i64(64).sub(c64)).lo().and(1) : bitAt(r, size));
    return { cf, of: save(bitAt(r, size - 1).xor(cf)) };
  }
  const last = c.sub(1).zx();
  const before = save(kind === 'Sar' ? a.shrS(last) : a.shrU(last));
  // OF is the sign bit of the value one shift earlier: for a count of 1 that of the operand, else 0
  const of = kind === 'Sar' ? i32(0) : save(bitAt(before, size - 1));
  return { cf: save(before.lo().and(1)), of };
}
/** CF and OF of a rotation with the result `r` (i64 local). */
export function rotateFlags(save: (e: E) => Local, left: boolean, size: Size, r: E): { cf: E; of: E } {
  const high = save(bitAt(r, size - 1));
  if (!left) return { cf: high, of: save(high.xor(bitAt(r, size - 2))) };
  const cf = save(r.lo().and(1));
  return { cf, of: save(cf.xor(high)) };
}

export abstract class Semantics {
  readonly f: FunctionBuilder;
  /** Code and address width: 32 stands for all of real, virtual-8086, protected and compatibility mode. */
  readonly mode: 32 | 64;
  /** Operand size attribute. */
  readonly osz: 16 | 32 | 64;
  readonly instruction: Instruction;
  readonly operands: readonly Operand[];
  /** The ModRM operand is in memory. */
  readonly memory: boolean;

  constructor(
    f: FunctionBuilder,
    mode: 32 | 64,
    osz: 16 | 32 | 64,
    instruction: Instruction,
    operands: readonly Operand[],
    memory: boolean,
  ) {
    this.f = f;
    this.mode = mode;
    this.osz = osz;
    this.instruction = instruction;
    this.operands = operands;
    this.memory = memory;
  }

  /** Bits of operand `i`. */
  sizeOf(i: number): Size {
    const size = this.operands[i]!.size;
    if (size === 'v') return this.osz;
    if (size === 'z') return this.osz === 16 ? 16 : 32;
    if (size === 'y') return this.osz === 64 ? 64 : 32;
    return size as Size;
  }
  /** Bits of the first operand (or the operand size when there is none). */
  get size(): Size {
    return this.operands.length ? this.sizeOf(0) : this.osz;
  }
  get addressType(): 'i32' | 'i64' {
    return this.mode === 64 ? 'i64' : 'i32';
  }

  // ---- operands
  /** Value of operand `i`, in a local. Reads memory when it is there. */
  abstract read(i: number): E;
  abstract write(i: number, v: E): void;
  /** Reads operand `i` and makes sure that it can be written; `write` then cannot fault. */
  abstract modify(i: number): { value: E; write: (v: E) => void };
  /** Linear address of the memory operand for an access of `bytes` bytes, segment checks done. */
  abstract address(bytes: number, write?: boolean): E;
  /** Effective address without segment, as LEA wants it (i32 or i64 by mode). */
  abstract effectiveAddress(): E;
  /** Signed immediate as i64. */
  abstract immediate(): E;
  /** State address (i32) of the register named by ModRM.reg or ModRM.rm, for XMM (slot of 16 bytes at F.xmm) and MMX/x87 (F.fpr). */
  abstract vectorAddress(i: number): E;
  /** Low 64 bits (i64) of XMM register operand `i`. */
  vectorLow(i: number): E {
    return this.vectorAddress(i).ld64();
  }
  /** Writes them (`v` i64) and keeps the others. */
  setVectorLow(i: number, v: E): void {
    this.f.st64(this.vectorAddress(i), 0, v);
  }
  /** The high 64 bits become 0. */
  clearVectorHigh(i: number): void {
    this.f.st64(this.vectorAddress(i), 8, i64(0));
  }
  /** XMM register operands 0 and 1 are known to be the same. */
  sameVector(): boolean {
    return false;
  }
  /** XMM register operand `i` becomes 0. */
  clearVector(i: number): void {
    this.f.st64(this.vectorAddress(i), 0, i64(0));
    this.clearVectorHigh(i);
  }
  /** The low double of XMM register operand `i` is known to be zero or a normal number. */
  lowIsPlain(_i: number): boolean {
    return false;
  }
  /** From here on it is, on every path that goes on behind the instruction. */
  noteLowPlain(_i: number): void {}
  /** ModRM, opcode, REX bytes (OP.bytes). */
  abstract opcodeBytes(): E;

  // ---- implied registers of string and loop instructions (address size decides their width)
  /** rCX: value (i32 or i64) and a function that decrements it and gives the new value. */
  abstract counter(): { value: E; decrement: () => E };
  /** rCX -= n (i32, unsigned). */
  abstract subtractCounter(n: E): void;
  /** Adds `delta` (i32, signed) to rSI or rDI. */
  abstract advanceIndex(register: number, delta: E): void;
  /** Linear address of segment:rSI, checked for reading. */
  abstract stringSource(bytes: number): E;
  /** Linear address of ES:rDI, checked. */
  abstract stringDestination(bytes: number, write: boolean): E;
  /** WebAssembly address behind a linear address if the TLB has it, else 0. Never faults. */
  abstract peek(address: E, write: boolean): E;

  // ---- memory
  /** Loads `size` bits at a linear address; leaves the instruction on a fault. */
  load(address: E, size: Size): Local {
    const h = this.loadAddress(address, size / 8);
    return this.f.let(rawLoad(h, size));
  }
  store(address: E, size: Size, v: E): void {
    const value = this.f.let(v);
    this.storeAt(address, size / 8, (h) => rawStore(this.f, h, size, value));
  }
  /** Linear address of the memory operand displaced by `delta` (address type) bytes. */
  abstract addressPlus(delta: E, bytes: number, write?: boolean): E;
  /** Linear address of XLAT's table byte: segment : rBX + AL. */
  abstract xlatAddress(): E;
  /** WebAssembly address from which `bytes` bytes at a linear address can be read. */
  abstract loadAddress(address: E, bytes: number, stack?: boolean): E;
  /** Writes `bytes` bytes at a linear address: `put` stores at the given WebAssembly address (it may be written twice). */
  abstract storeAt(address: E, bytes: number, put: (h: E) => void, stack?: boolean): void;
  /** WebAssembly address for reading and writing; call `finish` after the store. */
  abstract modifyAddress(address: E, bytes: number): { h: E; finish: () => void };

  // ---- general registers
  /** Reads general register `n` (not AH..BH). */
  reg(n: number, size: Size): E {
    return loadSlot(NONE, STATE + GPR + n * 8, size);
  }
  /** Writes general register `n`; 32 bits clear the upper half. */
  setReg(n: number, size: Size, v: E): void {
    storeSlot(this.f, NONE, STATE + GPR + n * 8, size, v);
  }

  // ---- flags
  /** Sign-extends a value of `size` bits to i64, the normal form of the lazy flags. */
  normal(v: E, size: Size): E {
    if (size === 64) return v;
    if (size === 32) return v.t === 'i64' ? v.sx32() : v.sx();
    if (v.t === 'i64') return size === 8 ? v.sx8() : v.sx16();
    return (size === 8 ? v.sx8() : v.sx16()).sx();
  }
  abstract setFlag(field: 'ccR' | 'ccA' | 'ccB', v: E): void;
  abstract setFlagKind(kind: number): void;
  /** The flags' kind is `off` or `on` by `c` (i32 0 or 1). */
  abstract setFlagKindFrom(off: number, on: number, c: E): void;
  /** Lazy arithmetic flags of `a op b = r` (values of `size` bits). */
  flags(kind: FlagKindName, size: Size, r: E, a?: E, b?: E): void {
    this.setFlagKind(FlagKind[kind]);
    this.setFlag('ccR', this.normal(r, size));
    if (a) this.setFlag('ccA', this.normal(a, size));
    if (b) this.setFlag('ccB', this.normal(b, size));
  }
  /** CF, OF and (optionally) AF given; ZF SF PF from r. Arguments i32 0 or 1. */
  flagsExplicit(size: Size, r: E, cf: E, of: E, af?: E): void {
    const a = af ? cf.or(af.shl(4)) : cf;
    // all values first: r, cf and of may read old flags
    const ra = this.f.let(this.normal(r, size));
    const aa = this.f.let(a.zx());
    const bb = this.f.let(of.zx());
    this.setFlagKind(FlagKind.Explicit);
    this.setFlag('ccR', ra);
    this.setFlag('ccA', aa);
    this.setFlag('ccB', bb);
  }
  /** A repeated string instruction is done in one step or not at all (`leaveWhole`). */
  get wholeOnly(): boolean {
    return false;
  }
  /** With nothing changed: somebody else executes the instruction. Only where `wholeOnly` says so. */
  leaveWhole(): void {
    throw new Error(`${this.instruction.name} is executed here.`);
  }
  /** Somebody may look at what an instruction does to flags that sets some of them and keeps the others. */
  get someFlagsWanted(): boolean {
    return true;
  }
  /** A division, whose flags the SDM leaves undefined: on the reference CPU CF and OF stay, AF is set, the others are clear. */
  flagsDivided(): void {
    const cf = this.carry();
    const of = this.flag('of');
    this.flagsExplicit(32, i32(1), cf, of, i32(1));
  }
  /** INC and DEC (`delta` 1 or -1) with the result `r`: CF stays. */
  flagsStep(size: Size, r: E, delta: 1 | -1): void {
    const cf = this.carry();
    const n = this.f.let(this.normal(r, size));
    const low = n.lo().and(15);
    const min = -(1n << BigInt(size - 1));
    const of = delta === 1 ? n.eq(min) : n.eq(-min - 1n);
    this.flagsExplicit(size, r, cf, of, delta === 1 ? low.eqz() : low.eq(15));
  }
  /** a + b + c or a - b - c (`subtract`) with the result `r`; `c` is i32 0 or 1. */
  flagsCarried(subtract: boolean, size: Size, r: E, a: E, b: E, c: E): void {
    this.setFlag('ccA', this.normal(a, size));
    this.setFlag('ccB', this.normal(b, size));
    this.setFlag('ccR', this.normal(r, size));
    this.setFlagKindFrom(subtract ? FlagKind.Sub : FlagKind.Add, subtract ? FlagKind.Sbb : FlagKind.Adc, c);
  }
  /** A shift of `a` by `c` (i32, not 0) with the result `r`. AF is set, as on the reference CPU. */
  flagsShift(kind: ShiftKind, size: Size, a: E, c: E, r: E): void {
    const { cf, of } = shiftFlags((e) => this.f.let(e), kind, size, this.normalWide(kind, a, size), c);
    this.flagsExplicit(size, r, cf, of, i32(1));
  }
  /** What `shiftFlags` wants: the operand as i64, sign-extended for SAR, else zero-extended. */
  normalWide(kind: ShiftKind, a: E, size: Size): E {
    return this.f.let(kind === 'Sar' ? this.normal(a, size) : a.zx());
  }
  /** A rotation with the result `r`: CF is the bit that went around, OF as after a rotation by one. */
  flagsRotate(left: boolean, size: Size, r: E): void {
    const { cf, of } = rotateFlags((e) => this.f.let(e), left, size, this.f.let(r.zx()));
    this.flagsCarryOverflow(cf, of);
  }
  /** New CF and OF; ZF SF PF AF stay (rotates, BT, ...). */
  abstract flagsCarryOverflow(cf: E, of: E | null): void;
  /** i32 0 or 1. */
  abstract carry(): Local;
  abstract flag(name: 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of'): Local;
  /** Condition code 0..15 (SDM vol. 1 appendix B), i32 0 or 1. */
  abstract condition(cc: number): E;
  /** Sets all six arithmetic flags from an EFLAGS image (i32). */
  abstract setArithmeticFlags(image: E): void;
  /** EFLAGS without the arithmetic flags (i32). */
  eflags(): E {
    return NONE.ld32(STATE + F.eflags);
  }

  // ---- stack
  /** Pushes `size` bits; nothing is changed when it faults. */
  abstract push(v: E, size: Size): void;
  /** Reads the top of the stack (`skip` bytes below it); `commit` moves the stack pointer (by `size` and `extra` bytes). */
  abstract pop(size: Size): { value: Local; commit: (extra?: E) => void };

  /** Pushes a segment selector: `size` bits are reserved, 16 are written in 32-bit mode. */
  abstract pushSelector(selector: E, size: Size): void;
  /** LEAVE: SP = BP, then pops BP. */
  abstract leave(size: Size): void;
  /** Runs `body`; if it faults, the stack pointer is as it was. */
  abstract atomicStack(body: () => void): void;

  // ---- control
  /** Address of the next instruction relative to CS base. */
  abstract nextRip(): E;
  /** Address of this instruction relative to CS base, as i64. */
  abstract ownRip(): E;
  /** Selector of the memory operand's segment (i32). */
  abstract memorySelector(): E;
  /** Goes to the direct branch target. Ends the instruction. */
  abstract jumpDirect(): void;
  /** Goes to `target` (relative to CS base; i32 or i64 by operand size). Ends the instruction. */
  abstract jumpTo(target: E): void;
  /** Executes this same instruction again (a long string operation that was interrupted). */
  abstract again(): void;
  /** Leaves with a fault; error code when given. */
  abstract raise(vector: number, error?: number): void;
  /** Leaves if a helper has set a pending fault. */
  abstract faultIfPending(): void;
  /** The instruction is done in one of its common cases; what its meaning writes behind this is for the others. */
  abstract done(): void;
  /** Calls a system routine by name and does what it says. Ends the instruction. */
  abstract system(name: string): void;
  /** Selector of the segment register named by ModRM.reg (i32). */
  abstract selectorOfReg(): E;
  /** Selector in segment register `n` (Seg). */
  selector(n: number): E {
    return NONE.ld32(STATE + F.selector + n * 4);
  }
  /** Bit test of OP.flags (i32, not normalised). */
  abstract prefix(flag: number): E;

  // ---- small conveniences
  let(e: E): Local {
    return this.f.let(e);
  }
  /** Like `let`, but a constant stays one, so that `if` can decide now. Must not be assigned to. */
  value(e: E): E {
    return e.k === undefined ? this.f.let(e) : e;
  }
  if(c: E, then: () => void, otherwise?: () => void): void {
    if (c.k === undefined) this.f.if(c, then, otherwise);
    else if (c.k !== 0n) then();
    else otherwise?.();
  }
  /** A constant of the type used for values of `size` bits. */
  k(size: Size, v: number | bigint): E {
    return konst(size === 64 ? 'i64' : 'i32', v);
  }
  state(field: keyof typeof F): E {
    return NONE.ld32(STATE + F[field]);
  }
  setState(field: keyof typeof F, v: Arg): void {
    this.f.st32(NONE, STATE + F[field], v);
  }
  state64(field: keyof typeof F): E {
    return NONE.ld64(STATE + F[field]);
  }
  setState64(field: keyof typeof F, v: E): void {
    this.f.st64(NONE, STATE + F[field], v);
  }

  // ---- SSE as a whole
  /** Not 0 (i32): SSE instructions raise #UD or #NM (CR0.EM, CR0.TS, CR4.OSFXSR; SDM vol. 3, 2.5). */
  sseRefused(): E {
    return this.state('cr0').and(12).or(this.state('cr4').and(0x200).xor(0x200));
  }
  /** Not 0 (i32): SSE is refused, or MXCSR is not at its default, its flags aside. */
  sseUnusual(): E {
    return this.sseRefused().or(this.state('mxcsr').and(MXCSR_CONTROL).xor(MXCSR_DEFAULT));
  }
  /** Not 0 (i32): MXCSR.PE is set, which is sticky. */
  sseInexactKnown(): E {
    return this.state('mxcsr').and(MXCSR_PRECISION);
  }
  /** i64: bit 62 is set if MXCSR.PE is known to be, all others are clear. */
  sseInexactBit(): E {
    return this.sseInexactKnown().zx().shl(57n);
  }
}

/** Loads a value of `size` bits. */
export function rawLoad(h: E, size: Size, offset = 0): E {
  return size === 8 ? h.ld8u(offset) : size === 16 ? h.ld16u(offset) : size === 32 ? h.ld32(offset) : h.ld64(offset);
}
export function rawStore(f: FunctionBuilder, h: E, size: Size, v: E, offset = 0): void {
  if (size === 8) f.st8(h, offset, v);
  else if (size === 16) f.st16(h, offset, v);
  else if (size === 32) f.st32(h, offset, v);
  else f.st64(h, offset, v);
}
/** Reads a general-register slot. */
export function loadSlot(slot: E, offset: number, size: Size): E {
  return rawLoad(slot, size, offset);
}
/** Writes a general-register slot; a 32-bit write clears the upper half (SDM vol. 1, 3.4.1.1). */
export function storeSlot(f: FunctionBuilder, slot: E, offset: number, size: Size, v: E): void {
  if (size === 32) f.st64(slot, offset, v.t === 'i64' ? v.and(0xffffffffn) : v.zx());
  else rawStore(f, slot, size, v, offset);
}

export { E, i32, i64, konst, select };
