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
        f.st64(
          Z,
          STATE + F.ccA,
          f.let(
            A()
              .and(BigInt.asUintN(64, ~0x801n))
              .or(cf.or(of.shl(11)).zx()),
          ),
        );
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

/** EFLAGS with everything worked out. `i32View` views the whole WebAssembly memory. 64-bit values are compared as halves. */
export function readEflags(i32View: Int32Array): number {
  const kind = i32View[(STATE + F.ccOp) >> 2]!;
  const rl = i32View[(STATE + F.ccR) >> 2]!;
  const rh = i32View[(STATE + F.ccR + 4) >> 2]!;
  const al = i32View[(STATE + F.ccA) >> 2]!;
  const ah = i32View[(STATE + F.ccA + 4) >> 2]!;
  const bl = i32View[(STATE + F.ccB) >> 2]!;
  const bh = i32View[(STATE + F.ccB + 4) >> 2]!;
  let flags = (rl | rh) === 0 ? 0x40 : 0;
  if (kind === FlagKind.Raw) flags |= al & (ARITHMETIC & ~0x40);
  else {
    if (rh < 0) flags |= 0x80;
    const low = (rl ^ (rl >> 4)) & 15;
    if (!((0x6996 >> low) & 1)) flags |= 4;
    const subtract = kind === FlagKind.Sub || kind === FlagKind.Sbb;
    if (kind === FlagKind.Explicit) flags |= (al & 0x11) | ((bl & 1) << 11);
    else if (kind !== FlagKind.Logic) {
      flags |= (al ^ bl ^ rl) & 0x10;
      const overflow = subtract ? (ah ^ bh) & (ah ^ rh) : (ah ^ rh) & (bh ^ rh);
      if (overflow < 0) flags |= 0x800;
      // unsigned: A < B for subtraction, R < A for addition; equality counts with a carry in
      const [xl, xh, yl, yh] = subtract ? [al, ah, bl, bh] : [rl, rh, al, ah];
      const equal = xl === yl && xh === yh;
      const below = xh === yh ? xl >>> 0 < yl >>> 0 : xh >>> 0 < yh >>> 0;
      if (below || (equal && (kind === FlagKind.Adc || kind === FlagKind.Sbb))) flags |= 1;
    }
  }
  return (i32View[(STATE + F.eflags) >> 2]! & ~ARITHMETIC) | flags | 2;
}

/** Changes the bits of EFLAGS in `mask`. */
export function writeEflags(i32View: Int32Array, value: number, mask: number): void {
  const system = (STATE + F.eflags) >> 2;
  i32View[system] = (i32View[system]! & ~(mask & ~ARITHMETIC)) | (value & mask & ~ARITHMETIC) | 2;
  if ((mask & ARITHMETIC) === 0) return;
  const image = ((mask & ARITHMETIC) === ARITHMETIC ? 0 : readEflags(i32View) & ~mask) | (value & mask);
  i32View[(STATE + F.ccA) >> 2] = image & ARITHMETIC;
  i32View[(STATE + F.ccA + 4) >> 2] = 0;
  i32View[(STATE + F.ccR) >> 2] = image & 0x40 ? 0 : 1;
  i32View[(STATE + F.ccR + 4) >> 2] = 0;
  i32View[(STATE + F.ccOp) >> 2] = FlagKind.Raw;
}
