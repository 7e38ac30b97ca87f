// Operands of MMX and SSE instructions: 128-bit values and their parts, availability checks, alignment.
// MMX registers are the significands of the x87 registers; a write sets the exponent to ones, and every MMX instruction but EMMS makes the
// stack top 0 and all registers in use (SDM vol. 1, 9.5.1).

import { E } from '../wasm/expr.ts';

import { VECTOR, type Semantics } from './semantics.ts';

/** WebAssembly SIMD instruction numbers used here (Core Specification 5.4.8). */
export const V = {
  swizzle: 14, i8splat: 15, i16splat: 16, i32splat: 17, i64splat: 18,
  i8eq: 35, i8gtS: 39, i16eq: 45, i16gtS: 49, i32eq: 55, i32gtS: 59,
  not: 77, and: 78, andnot: 79, or: 80, xor: 81, bitselect: 82,
  i8abs: 96, i8neg: 97, i8bitmask: 100, i8narrowS: 101, i8narrowU: 102, i8add: 110, i8addSatS: 111, i8addSatU: 112, i8sub: 113, i8subSatS: 114, i8subSatU: 115,
  i8minU: 119, i8maxU: 121, i8avgrU: 123, i16extaddU: 125,
  i16abs: 128, i16neg: 129, i16narrowS: 133, i16shl: 139, i16shrS: 140, i16shrU: 141, i16add: 142, i16addSatS: 143, i16addSatU: 144, i16sub: 145, i16subSatS: 146, i16subSatU: 147,
  i16mul: 149, i16minS: 150, i16maxS: 152, i16avgrU: 155,
  i32abs: 160, i32neg: 161, i32bitmask: 164, i32shl: 171, i32shrS: 172, i32shrU: 173, i32add: 174, i32sub: 177, i32mul: 181, i32dotS: 186, i32extmulLowS: 188, i32extmulHighS: 189, i32extmulLowU: 190, i32extmulHighU: 191,
  i64bitmask: 196, i64shl: 203, i64shrU: 205, i64add: 206, i64sub: 209, i64mul: 213, i64extmulLowU: 222,
  extract64: 29,
} as const; // prettier-ignore

/** i8x16.shuffle: bytes of a (0-15) and b (16-31). */
export function shuffle(a: E, b: E, lanes: readonly number[]): E {
  return new E('v128', (w) => {
    a.emit(w);
    b.emit(w);
    w.u8(0xfd);
    w.u32(13);
    for (const l of lanes) w.u8(l);
  });
}
/** A constant vector from 16 bytes. */
export function vectorConstant(bytes: readonly number[]): E {
  return new E('v128', (w) => {
    w.u8(0xfd);
    w.u32(12);
    for (const b of bytes) w.u8(b);
  });
}
/** 64 bits in the low half, zero above. */
export function low64(address: E, offset = 0): E {
  return new E('v128', (w) => {
    address.emit(w);
    w.u8(0xfd);
    w.u32(93);
    w.u8(0);
    w.u32(offset);
  });
}
/** 32 bits in the lowest lane, zero above. */
export function low32(address: E): E {
  return new E('v128', (w) => {
    address.emit(w);
    w.u8(0xfd);
    w.u32(92);
    w.u8(0);
    w.u32(0);
  });
}
export const ZERO128 = vectorConstant(new Array<number>(16).fill(0));

/** #UD with CR0.EM or without CR4.OSFXSR, #NM with CR0.TS. */
export function requireSse(s: Semantics): void {
  s.if(s.sseRefused(), () => {
    s.if(s.state('cr0').and(4).or(s.state('cr4').and(0x200).xor(0x200)), () => s.raise(VECTOR.UD));
    s.raise(VECTOR.NM);
  });
}
/** #UD with CR0.EM, #NM with CR0.TS, #MF with a pending x87 exception. */
export function requireMmx(s: Semantics): void {
  s.if(s.state('cr0').and(12), () => {
    s.if(s.state('cr0').and(4), () => s.raise(VECTOR.UD));
    s.raise(VECTOR.NM);
  });
  s.if(s.state('fpStatus').and(s.state('fpControl').xor(-1)).and(0x3f), () =>
    s.if(s.state('cr0').and(0x20), () => s.raise(VECTOR.MF)),
  );
}
/** The x87 state after an MMX instruction. */
export function enterMmx(s: Semantics): void {
  s.setState('fpTop', 0);
  s.setState('fpTags', 0xff);
}

/** Operand `i` is the ModRM operand and in memory. */
export const inMemory = (s: Semantics, i: number): boolean => s.memory && 'EMWQ'.includes(s.operands[i]!.kind);

/** WebAssembly address of operand `i` for reading `bytes` bytes; 16-byte memory operands must be aligned unless said otherwise. */
export function operandAddress(s: Semantics, i: number, bytes: number, aligned = bytes === 16): E {
  if (!inMemory(s, i)) return s.vectorAddress(i);
  const address = s.address(bytes);
  if (aligned) s.if(address.lo().and(15), () => s.raise(VECTOR.GP, 0));
  return s.loadAddress(address, bytes);
}
/** 64 bits (i64): the low half of a register or memory. */
export function readDouble(s: Semantics, i: number): E {
  return inMemory(s, i) ? operandAddress(s, i, 8).ld64() : s.vectorLow(i);
}
export function readVector(s: Semantics, i: number, aligned = true): E {
  return s.let(operandAddress(s, i, 16, aligned).ldV128());
}
export function writeVector(s: Semantics, i: number, v: E, aligned = true): void {
  if (!inMemory(s, i)) {
    s.f.stV128(s.vectorAddress(i), 0, v);
    return;
  }
  const address = s.address(16, true);
  if (aligned) s.if(address.lo().and(15), () => s.raise(VECTOR.GP, 0));
  const value = s.let(v);
  s.storeAt(address, 16, (h) => s.f.stV128(h, 0, value));
}
/** An MMX operand, or 64 bits of an XMM one, in the low half. */
export function readLow(s: Semantics, i: number): E {
  return s.let(low64(operandAddress(s, i, 8)));
}
/** Writes the low half of `v` to an MMX register. */
export function writeMmx(s: Semantics, i: number, v: E): void {
  const at = s.vectorAddress(i);
  s.f.st64(at, 0, v.lane(V.extract64, 0, 'i64'));
  s.f.st32(at, 8, 0xffff);
}
