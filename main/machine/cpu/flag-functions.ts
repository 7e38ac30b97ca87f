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

const bit = (v: E, n: number): E => v.lo().shrU(n).and(1);
const sign = (v: E): E => v.shrU(63n).lo();

/** A flag (i32 0 or 1) of lazy flags whose kind is known; r, a, b (i64) are read more than once. */
export function flagOfKind(name: 'cf' | 'pf' | 'af' | 'sf' | 'of', kind: number, r: E, a: E, b: E): E {
  const { Raw, Explicit, Add, Adc, Sub, Sbb, Logic } = FlagKind;
  switch (name) {
    case 'cf':
      if (kind === Sub) return a.ltU(b);
      if (kind === Logic) return Z;
      if (kind === Add) return r.ltU(a);
      if (kind === Adc) return r.leU(a);
      return kind === Sbb ? a.leU(b) : bit(a, 0);
    case 'of':
      if (kind === Raw) return bit(a, 11);
      if (kind === Explicit) return bit(b, 0);
      if (kind === Logic) return Z;
      return kind === Add || kind === Adc ? sign(a.xor(r).and(b.xor(r))) : sign(a.xor(b).and(a.xor(r)));
    case 'af':
      if (kind === Logic) return Z;
      return kind === Raw || kind === Explicit ? bit(a, 4) : bit(a.xor(b).xor(r), 4);
    case 'sf':
      return kind === Raw ? bit(a, 7) : sign(r);
    case 'pf':
      return kind === Raw ? bit(a, 2) : r.lo().and(255).popcnt().and(1).xor(1);
  }
}

/** Returns a flag by the current kind, which is compared with `kinds` in this order; the last one needs no comparison. */
function byKind(f: FunctionBuilder, name: 'cf' | 'pf' | 'af' | 'sf' | 'of', kinds: readonly number[]): void {
  const kind = f.let(Z.ld32(STATE + F.ccOp));
  const value = (k: number): E => flagOfKind(name, k, R(), A(), B());
  for (const k of kinds.slice(0, -1)) f.if(kind.eq(k), () => f.return(value(k)));
  f.return(value(kinds.at(-1)!));
}

export function defineFlags(m: ModuleBuilder): void {
  const { Raw, Explicit, Add, Adc, Sub, Sbb, Logic } = FlagKind;
  // the most frequent kinds first; Raw and Explicit agree on CF and AF, all but Raw on SF and PF
  m.func('get_cf', [], ['i32'], (f) => byKind(f, 'cf', [Sub, Logic, Add, Adc, Sbb, Explicit]));
  m.func('get_of', [], ['i32'], (f) => byKind(f, 'of', [Raw, Explicit, Add, Adc, Sub, Sbb, Logic]));
  // without branches
  m.func('get_af', [], ['i32'], (f) => {
    const kind = f.let(Z.ld32(STATE + F.ccOp));
    const bits = select(kind.leU(Explicit), A(), A().xor(B()).xor(R()));
    f.return(bit(bits, 4).and(kind.ne(Logic)));
  });
  m.func('get_sf', [], ['i32'], (f) => byKind(f, 'sf', [Raw, Logic]));
  m.func('get_pf', [], ['i32'], (f) => byKind(f, 'pf', [Raw, Logic]));
  m.func('get_sf_ne_of', [], ['i32'], (f) => f.return(f.let(f.call('get_sf')).xor(f.let(f.call('get_of')))));
  // the same for flags held elsewhere: (kind, r, a, b)
  for (const name of ['cf', 'pf', 'af', 'sf', 'of'] as const)
    m.func(`kind_${name}`, ['i32', 'i64', 'i64', 'i64'], ['i32'], (f) => {
      const [kind, r, a, b] = f.params as unknown as [E, E, E, E];
      for (const k of Object.values(FlagKind)) f.if(kind.eq(k), () => f.return(flagOfKind(name, k, r, a, b)));
      f.unreachable();
    });
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
        // AF in its place, without a branch
        const bits = select(kind.eq(Explicit), A(), A().xor(B()).xor(R()));
        const af = f.let(select(kind.eq(Logic), Z, bits.lo().and(0x10)));
        f.st64(Z, STATE + F.ccA, cf.or(af).zx());
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
