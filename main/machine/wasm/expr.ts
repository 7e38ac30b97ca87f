// Typed WebAssembly expressions as trees. `a.add(b)` picks the opcode by the operands' type; numbers become constants of the
// type they meet. Invariant: emitting an expression has no effect but leaving its value on the stack.

import type { Bytes } from './bytes.ts';

export type WasmType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export const TYPE_CODE: Record<WasmType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Anything that can stand where an expression is wanted; numbers take the type of their partner. */
export type Arg = E | number | bigint;

// Opcodes of i32 and i64 forms (Core Specification, appendix "Index of Instructions").
const OPS: Record<string, [number, number]> = {
  eqz: [0x45, 0x50],
  eq: [0x46, 0x51],
  ne: [0x47, 0x52],
  ltS: [0x48, 0x53],
  ltU: [0x49, 0x54],
  gtS: [0x4a, 0x55],
  gtU: [0x4b, 0x56],
  leS: [0x4c, 0x57],
  leU: [0x4d, 0x58],
  geS: [0x4e, 0x59],
  geU: [0x4f, 0x5a],
  clz: [0x67, 0x79],
  ctz: [0x68, 0x7a],
  popcnt: [0x69, 0x7b],
  add: [0x6a, 0x7c],
  sub: [0x6b, 0x7d],
  mul: [0x6c, 0x7e],
  divS: [0x6d, 0x7f],
  divU: [0x6e, 0x80],
  remS: [0x6f, 0x81],
  remU: [0x70, 0x82],
  and: [0x71, 0x83],
  or: [0x72, 0x84],
  xor: [0x73, 0x85],
  shl: [0x74, 0x86],
  shrS: [0x75, 0x87],
  shrU: [0x76, 0x88],
  rotl: [0x77, 0x89],
  rotr: [0x78, 0x8a],
};
const FLOAT_OPS: Record<string, [number, number]> = {
  eq: [0x5b, 0x61],
  ne: [0x5c, 0x62],
  lt: [0x5d, 0x63],
  gt: [0x5e, 0x64],
  le: [0x5f, 0x65],
  ge: [0x60, 0x66],
  abs: [0x8b, 0x99],
  neg: [0x8c, 0x9a],
  ceil: [0x8d, 0x9b],
  floor: [0x8e, 0x9c],
  trunc: [0x8f, 0x9d],
  nearest: [0x90, 0x9e],
  sqrt: [0x91, 0x9f],
  add: [0x92, 0xa0],
  sub: [0x93, 0xa1],
  mul: [0x94, 0xa2],
  div: [0x95, 0xa3],
  min: [0x96, 0xa4],
  max: [0x97, 0xa5],
  copysign: [0x98, 0xa6],
};

/** Operations on two constants that are worked out at once (their result is cut to the type). */
const FOLD: Record<string, (a: bigint, b: bigint) => bigint> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

export class E {
  readonly t: WasmType;
  readonly emit: (w: Bytes) => void;
  /** The value, when it is a constant. */
  readonly k: bigint | undefined;

  constructor(t: WasmType, emit: (w: Bytes) => void, k?: bigint) {
    this.t = t;
    this.emit = emit;
    this.k = k;
  }

  /** `x` as an expression of this one's type. */
  like(x: Arg): E {
    if (x instanceof E) {
      if (x.t !== this.t) throw new TypeError(`wasm: ${x.t} where ${this.t} is needed`);
      return x;
    }
    return this.t === 'i32' || this.t === 'i64' ? again(this.t, x) : konst(this.t, x);
  }

  private bin(name: string, x: Arg, t: WasmType = this.t): E {
    const y = this.like(x);
    const pair = this.t === 'i32' || this.t === 'i64' ? OPS[name] : FLOAT_OPS[name];
    if (!pair || this.t === 'v128') throw new TypeError(`wasm: no ${name} on ${this.t}`);
    const folded = this.k !== undefined && y.k !== undefined ? FOLD[name]?.(this.k, y.k) : undefined;
    if (folded !== undefined) return konst(this.t, folded);
    const code = pair[this.t === 'i32' || this.t === 'f32' ? 0 : 1];
    return new E(t, (w) => {
      this.emit(w);
      y.emit(w);
      w.u8(code);
    });
  }
  private un(name: string, t: WasmType = this.t): E {
    const pair = this.t === 'i32' || this.t === 'i64' ? OPS[name] : FLOAT_OPS[name];
    if (!pair || this.t === 'v128') throw new TypeError(`wasm: no ${name} on ${this.t}`);
    return this.op(pair[this.t === 'i32' || this.t === 'f32' ? 0 : 1], t);
  }
  /** One-operand instruction by its opcode byte(s). */
  op(code: number | number[], t: WasmType): E {
    return new E(t, (w) => {
      this.emit(w);
      if (typeof code === 'number') w.u8(code);
      else for (const b of code) w.u8(b);
    });
  }

  add(x: Arg): E {
    if (!(x instanceof E) && (x === 0 || x === 0n)) return this;
    return this.bin('add', x);
  }
  sub(x: Arg): E {
    return this.bin('sub', x);
  }
  mul(x: Arg): E {
    return this.bin('mul', x);
  }
  divS(x: Arg): E {
    return this.bin('divS', x);
  }
  divU(x: Arg): E {
    return this.bin('divU', x);
  }
  remS(x: Arg): E {
    return this.bin('remS', x);
  }
  remU(x: Arg): E {
    return this.bin('remU', x);
  }
  and(x: Arg): E {
    return this.bin('and', x);
  }
  or(x: Arg): E {
    return this.bin('or', x);
  }
  xor(x: Arg): E {
    return this.bin('xor', x);
  }
  shl(x: Arg): E {
    return this.bin('shl', x);
  }
  shrS(x: Arg): E {
    return this.bin('shrS', x);
  }
  shrU(x: Arg): E {
    return this.bin('shrU', x);
  }
  rotl(x: Arg): E {
    return this.bin('rotl', x);
  }
  rotr(x: Arg): E {
    return this.bin('rotr', x);
  }
  clz(): E {
    return this.un('clz');
  }
  ctz(): E {
    return this.un('ctz');
  }
  popcnt(): E {
    return this.un('popcnt');
  }
  /** i32 truth value. */
  eqz(): E {
    return this.k === undefined ? this.un('eqz', 'i32') : konst('i32', this.k === 0n ? 1 : 0);
  }
  eq(x: Arg): E {
    return this.bin('eq', x, 'i32');
  }
  ne(x: Arg): E {
    return this.bin('ne', x, 'i32');
  }
  ltS(x: Arg): E {
    return this.bin('ltS', x, 'i32');
  }
  ltU(x: Arg): E {
    return this.bin('ltU', x, 'i32');
  }
  gtS(x: Arg): E {
    return this.bin('gtS', x, 'i32');
  }
  gtU(x: Arg): E {
    return this.bin('gtU', x, 'i32');
  }
  leS(x: Arg): E {
    return this.bin('leS', x, 'i32');
  }
  leU(x: Arg): E {
    return this.bin('leU', x, 'i32');
  }
  geS(x: Arg): E {
    return this.bin('geS', x, 'i32');
  }
  geU(x: Arg): E {
    return this.bin('geU', x, 'i32');
  }
  // floating point
  flt(x: Arg): E {
    return this.bin('lt', x, 'i32');
  }
  fgt(x: Arg): E {
    return this.bin('gt', x, 'i32');
  }
  fle(x: Arg): E {
    return this.bin('le', x, 'i32');
  }
  fge(x: Arg): E {
    return this.bin('ge', x, 'i32');
  }
  div(x: Arg): E {
    return this.bin('div', x);
  }
  sqrt(): E {
    return this.un('sqrt');
  }
  abs(): E {
    return this.un('abs');
  }
  neg(): E {
    return this.un('neg');
  }
  nearest(): E {
    return this.un('nearest');
  }
  trunc(): E {
    return this.un('trunc');
  }
  floor(): E {
    return this.un('floor');
  }
  ceil(): E {
    return this.un('ceil');
  }

  // conversions
  /** i64 -> i32 (low half); i32 stays. */
  lo(): E {
    if (this.t === 'i32') return this;
    return this.k === undefined ? this.op(0xa7, 'i32') : konst('i32', this.k);
  }
  /** i32 -> i64 zero-extended; i64 stays. */
  zx(): E {
    if (this.t === 'i64') return this;
    return this.k === undefined ? this.op(0xad, 'i64') : konst('i64', BigInt.asUintN(32, this.k));
  }
  /** i32 -> i64 sign-extended; i64 stays. */
  sx(): E {
    if (this.t === 'i64') return this;
    return this.k === undefined ? this.op(0xac, 'i64') : konst('i64', this.k);
  }
  /** Sign-extends the low 8 bits within the type. */
  sx8(): E {
    return this.op(this.t === 'i32' ? 0xc0 : 0xc2, this.t);
  }
  sx16(): E {
    return this.op(this.t === 'i32' ? 0xc1 : 0xc3, this.t);
  }
  /** i64 only: sign-extends the low 32 bits. */
  sx32(): E {
    return this.op(0xc4, 'i64');
  }

  // memory: this is an i32 address
  /** This address and a distance in bytes, from 0 on, which goes into the offset of loads and stores: their sum must not wrap around. */
  near(distance: number): E {
    return distance === 0 ? this : new Near(this, distance);
  }
  private load(code: number, t: WasmType, offset: number): E {
    if (this.t !== 'i32') throw new TypeError(`wasm: address of type ${this.t}`);
    const { base, distance } = placeOf(this);
    return new E(t, (w) => {
      base.emit(w);
      w.u8(code);
      w.u8(0);
      w.u32(offset + distance);
    });
  }
  ld32(offset = 0): E {
    return this.load(0x28, 'i32', offset);
  }
  ld64(offset = 0): E {
    return this.load(0x29, 'i64', offset);
  }
  ldF32(offset = 0): E {
    return this.load(0x2a, 'f32', offset);
  }
  ldF64(offset = 0): E {
    return this.load(0x2b, 'f64', offset);
  }
  ld8u(offset = 0): E {
    return this.load(0x2d, 'i32', offset);
  }
  ld8s(offset = 0): E {
    return this.load(0x2c, 'i32', offset);
  }
  ld16u(offset = 0): E {
    return this.load(0x2f, 'i32', offset);
  }
  ld16s(offset = 0): E {
    return this.load(0x2e, 'i32', offset);
  }
  ld8u64(offset = 0): E {
    return this.load(0x31, 'i64', offset);
  }
  ld32s64(offset = 0): E {
    return this.load(0x34, 'i64', offset);
  }
  ld32u64(offset = 0): E {
    return this.load(0x35, 'i64', offset);
  }
  ldV128(offset = 0): E {
    const { base, distance } = placeOf(this);
    return new E('v128', (w) => {
      base.emit(w);
      w.u8(0xfd);
      w.u32(0);
      w.u8(0);
      w.u32(offset + distance);
    });
  }

  // vector
  /** Two-operand SIMD instruction by number (Core Specification 5.4.8), result v128 unless said otherwise. */
  v(code: number, x: E, t: WasmType = 'v128'): E {
    return new E(t, (w) => {
      this.emit(w);
      x.emit(w);
      w.u8(0xfd);
      w.u32(code);
    });
  }
  /** One-operand SIMD instruction by number. */
  v1(code: number, t: WasmType = 'v128'): E {
    return new E(t, (w) => {
      this.emit(w);
      w.u8(0xfd);
      w.u32(code);
    });
  }
  /** Lane extraction (one operand and a lane byte). */
  lane(code: number, lane: number, t: WasmType): E {
    return new E(t, (w) => {
      this.emit(w);
      w.u8(0xfd);
      w.u32(code);
      w.u8(lane);
    });
  }
  /** Lane replacement. */
  withLane(code: number, lane: number, x: E): E {
    return new E('v128', (w) => {
      this.emit(w);
      x.emit(w);
      w.u8(0xfd);
      w.u32(code);
      w.u8(lane);
    });
  }
}

/** See E.near. */
class Near extends E {
  readonly base: E;
  readonly distance: number;
  constructor(base: E, distance: number) {
    super('i32', base.add(distance).emit);
    this.base = base;
    this.distance = distance;
  }
}
/** An address as what is evaluated and what is added to the offset of a load or store. */
export function placeOf(address: E): { readonly base: E; readonly distance: number } {
  return address instanceof Near ? address : { base: address, distance: 0 };
}

/** A constant of type `t`. */
export function konst(t: WasmType, v: number | bigint): E {
  switch (t) {
    case 'i32': {
      const k = Number(BigInt.asIntN(32, BigInt(v)));
      return new E(
        'i32',
        (w) => {
          w.u8(0x41);
          w.s32(k);
        },
        BigInt(k),
      );
    }
    case 'i64': {
      const k = BigInt.asIntN(64, BigInt(v));
      return new E(
        'i64',
        (w) => {
          w.u8(0x42);
          w.s64(k);
        },
        k,
      );
    }
    case 'f64':
      return new E('f64', (w) => {
        w.u8(0x44);
        w.f64(Number(v));
      });
    default:
      throw new TypeError(`wasm: no constant of type ${t}`);
  }
}
const known: Record<'i32' | 'i64', Map<number | bigint, E>> = { i32: new Map(), i64: new Map() };
const KNOWN = 4096;
/** Constants are asked for again and again. */
function again(t: 'i32' | 'i64', v: number | bigint): E {
  const cache = known[t];
  let e = cache.get(v);
  if (!e) {
    e = konst(t, v);
    if (cache.size < KNOWN) cache.set(v, e);
  }
  return e;
}
export const i32 = (v: number | bigint): E => again('i32', v);
export const i64 = (v: number | bigint): E => again('i64', v);

/** `cond ? a : b` without a branch: both are evaluated. */
export function select(cond: E, a: E, b: Arg): E {
  const y = a.like(b);
  return new E(a.t, (w) => {
    a.emit(w);
    y.emit(w);
    cond.emit(w);
    if (a.t === 'v128') {
      w.u8(0x1c);
      w.u8(1);
      w.u8(TYPE_CODE.v128);
    } else w.u8(0x1b);
  });
}
