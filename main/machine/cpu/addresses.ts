// The general addressing forms and segment checks, as WebAssembly functions: what is not flat or has an odd address size.

import type { E } from '../wasm/expr.ts';
import { i32, i64, select } from '../wasm/expr.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { F, GPR, OP, OpFlag, STATE, Seg, SegAttr } from './layout.ts';
import { ModeKey } from './mode.ts';

const Z = i32(0);

/** ea_offset(op) and seg_linear(segment, offset, bytes | write << 8): the general addressing forms. */
export function defineAddresses(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('ea_offset', ['i32'], ['i64'], (f) => {
    const op = f.params[0]!;
    const base = op.ld8u(OP.base).ld64(STATE + GPR);
    const index = op
      .ld8u(OP.index)
      .ld64(STATE + GPR)
      .shl(op.ld8u(OP.scale).zx());
    const sum = f.let(base.add(index).add(op.ld32s64(OP.disp)));
    const flags = f.let(op.ld8u(OP.flags));
    if (mode === 32)
      f.if(
        flags.and(OpFlag.Addr16),
        () => f.return(sum.and(0xffffn)),
        () => f.return(sum.and(0xffffffffn)),
      );
    else f.if(flags.and(OpFlag.Addr32), () => f.return(sum.and(0xffffffffn)));
    f.return(sum);
  });
  m.func('seg_linear', ['i32', 'i64', 'i32'], ['i64'], (f) => {
    const [segment, offset, info] = f.params as unknown as [E, E, E];
    const base = segment.shl(3).ld64(STATE + F.segBase);
    if (mode === 64) {
      f.if(segment.ltU(Seg.FS), () => f.return(offset));
      f.return(base.add(offset));
      return;
    }
    const off = f.let(offset.lo());
    const attr = f.let(segment.shl(2).ld32(STATE + F.segAttr));
    const limit = f.let(segment.shl(2).ld32(STATE + F.segLimit));
    const last = f.let(off.add(info.and(255)).sub(1));
    const key = Z.ld32(STATE + F.mode);
    const cr0pe = Z.ld32(STATE + F.cr0).and(1);
    const real = f.let(key.and(ModeKey.Vm86).or(cr0pe.eqz()));
    const bad = f.let(Z);
    f.if(attr.and(SegAttr.Unusable), () => f.set(bad, 1));
    f.if(real.eqz(), () =>
      f.if(
        info.and(256),
        () => f.if(attr.and(SegAttr.Code | SegAttr.RW).ne(SegAttr.RW), () => f.set(bad, 1)),
        () => f.if(attr.and(SegAttr.Code | SegAttr.RW).eq(SegAttr.Code), () => f.set(bad, 1)),
      ),
    );
    f.if(
      attr.and(SegAttr.Code | SegAttr.DC | SegAttr.NotSystem).eq(SegAttr.DC | SegAttr.NotSystem),
      () => {
        // expand-down: offsets above the limit, up to 64 KiB or 4 GiB
        const top = select(attr.and(SegAttr.DB), i32(-1), i32(0xffff));
        f.set(bad, bad.or(off.leU(limit).or(last.gtU(top)).or(last.ltU(off))));
      },
      // a 4 GiB segment lets accesses wrap around
      () => f.if(limit.ne(-1), () => f.set(bad, bad.or(last.gtU(limit).or(last.ltU(off))))),
    );
    f.if(bad, () => {
      f.st32(Z, STATE + F.faultVector, select(segment.eq(Seg.SS), i32(12), i32(13)));
      f.st32(Z, STATE + F.faultHasError, 1);
      f.st32(Z, STATE + F.faultError, 0);
      f.return(i64(0));
    });
    f.return(base.add(off.zx()).and(0xffffffffn));
  });
}
