// The lazy arithmetic flags worked out, as WebAssembly functions (get_cf ... set_flags) and for TypeScript (readEflags, writeEflags).
// Invariant: ZF is always (ccR == 0); what each kind means is written at FlagKind in layout.ts.

import { E, i32, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { F, FlagKind, STATE } from './layout.ts';

const Z = i32(0);
const R = () => Z.ld64(STATE + F.ccR);
const A = () => Z.ld64(STATE + F.ccA);
const B = () => Z.ld64(STATE + F.ccB);

/** Runs the expression for the current kind and returns it. Order: Raw Explicit Add Adc Sub Sbb Logic. */
function byKind(f: FunctionBuilder, values: E[]): void {
  const kind = f.let(Z.ld32(STATE + F.ccOp));
  values.forEach((v, k) => f.if(kind.eq(k), () => f.return(v)));
  f.return(Z);
}
const bit = (v: E, n: number): E => v.lo().shrU(n).and(1);
const sign = (v: E): E => v.shrU(63n).lo();

export function defineFlags(m: ModuleBuilder): void {
  m.func('get_cf', [], ['i32'], (f) => {
    const kind = f.let(Z.ld32(STATE + F.ccOp));
    f.if(kind.eq(FlagKind.Sub), () => f.return(A().ltU(B())));
    f.if(kind.eq(FlagKind.Logic), () => f.return(Z));
    f.if(kind.eq(FlagKind.Add), () => f.return(R().ltU(A())));
    f.if(kind.eq(FlagKind.Adc), () => f.return(R().leU(A())));
    f.if(kind.eq(FlagKind.Sbb), () => f.return(A().leU(B())));
    f.return(bit(A(), 0));
  });
  const add = () => sign(A().xor(R()).and(B().xor(R())));
  const sub = () => sign(A().xor(B()).and(A().xor(R())));
  m.func('get_of', [], ['i32'], (f) => byKind(f, [bit(A(), 11), bit(B(), 0), add(), add(), sub(), sub(), Z]));
  const af = () => bit(A().xor(B()).xor(R()), 4);
  m.func('get_af', [], ['i32'], (f) => byKind(f, [bit(A(), 4), bit(A(), 4), af(), af(), af(), af(), Z]));
  m.func('get_sf', [], ['i32'], (f) => {
    f.if(Z.ld32(STATE + F.ccOp).eqz(), () => f.return(bit(A(), 7)));
    f.return(sign(R()));
  });
  m.func('get_pf', [], ['i32'], (f) => {
    f.if(Z.ld32(STATE + F.ccOp).eqz(), () => f.return(bit(A(), 2)));
    f.return(R().lo().and(255).popcnt().and(1).xor(1));
  });
  m.func('get_sf_ne_of', [], ['i32'], (f) => f.return(f.let(f.call('get_sf')).xor(f.let(f.call('get_of')))));
  m.func('set_cf_of', ['i32', 'i32'], [], (f) => {
    // ZF SF PF AF stay
    const [cf, of] = f.params as unknown as [E, E];
    const kind = f.let(Z.ld32(STATE + F.ccOp));
    f.if(
      kind.eqz(),
      () => {
        f.st64(Z, STATE + F.ccA, f.let(A().and(BigInt.asUintN(64, ~0x801n)).or(cf.or(of.shl(11)).zx())));
      },
      () => {
        const a = f.let(f.call('get_af'));
        f.st64(Z, STATE + F.ccA, cf.or(a.shl(4)).zx());
        f.st64(Z, STATE + F.ccB, of.zx());
        f.st32(Z, STATE + F.ccOp, FlagKind.Explicit);
      },
    );
  });
  m.func('set_flags', ['i32'], [], (f) => {
    const image = f.params[0] as E;
    f.st64(Z, STATE + F.ccA, image.zx());
    f.st64(Z, STATE + F.ccR, select(image.and(0x40), Z.zx(), i32(1).zx()));
    f.st32(Z, STATE + F.ccOp, FlagKind.Raw);
  });
}

const ARITHMETIC = 0x8d5;

/** EFLAGS with everything worked out. `i32` and `u64` view the whole WebAssembly memory. */
export function readEflags(i32View: Int32Array, u64: BigUint64Array): number {
  const at = (field: number) => (STATE + field) >> 3;
  const kind = i32View[(STATE + F.ccOp) >> 2]!;
  const r = u64[at(F.ccR)]!;
  const a = u64[at(F.ccA)]!;
  const b = u64[at(F.ccB)]!;
  let flags = r === 0n ? 0x40 : 0;
  const alow = Number(a & 0xfffn);
  if (kind === FlagKind.Raw) flags |= alow & (ARITHMETIC & ~0x40);
  else {
    if (r >> 63n) flags |= 0x80;
    let low = Number(r & 0xffn);
    low ^= low >> 4;
    if (!((0x6996 >> (low & 15)) & 1)) flags |= 4;
    let cf = false;
    let of = 0n;
    let af = Number((a ^ b ^ r) & 0x10n);
    switch (kind) {
      case FlagKind.Explicit:
        cf = (alow & 1) !== 0;
        of = b & 1n;
        af = alow & 0x10;
        break;
      case FlagKind.Add:
      case FlagKind.Adc:
        cf = kind === FlagKind.Add ? r < a : r <= a;
        of = ((a ^ r) & (b ^ r)) >> 63n;
        break;
      case FlagKind.Sub:
      case FlagKind.Sbb:
        cf = kind === FlagKind.Sub ? a < b : a <= b;
        of = ((a ^ b) & (a ^ r)) >> 63n;
        break;
      default:
        af = 0;
    }
    flags |= (cf ? 1 : 0) | af | (of ? 0x800 : 0);
  }
  return (i32View[(STATE + F.eflags) >> 2]! & ~ARITHMETIC) | flags | 2;
}

/** Changes the bits of EFLAGS in `mask`. */
export function writeEflags(i32View: Int32Array, u64: BigUint64Array, value: number, mask: number): void {
  const system = (STATE + F.eflags) >> 2;
  i32View[system] = (i32View[system]! & ~(mask & ~ARITHMETIC)) | (value & mask & ~ARITHMETIC) | 2;
  if ((mask & ARITHMETIC) === 0) return;
  const image = ((mask & ARITHMETIC) === ARITHMETIC ? 0 : readEflags(i32View, u64) & ~mask) | (value & mask);
  u64[(STATE + F.ccA) >> 3] = BigInt(image & ARITHMETIC);
  u64[(STATE + F.ccR) >> 3] = image & 0x40 ? 0n : 1n;
  i32View[(STATE + F.ccOp) >> 2] = FlagKind.Raw;
}
