// From one region to the next without the interpreter's loop: region_next looks F.rip up and, if a region begins there, tail-calls it.
// Invariant: it does nothing that the interpreter's look-up would not do; whatever is not plain it leaves to that look-up.

import type { E } from '../../wasm/expr.ts';
import { i32 } from '../../wasm/expr.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { CodePage } from '../code-cache.ts';
import {
  F,
  FIRST_REGION,
  OP,
  PAGE_CODE,
  RAM_BASE,
  SLOT_PAGE_BASE,
  STATE,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_TAG_EXEC,
} from '../layout.ts';
import { FLAT_32, MODE_KEY_64 } from '../mode.ts';
import { probe } from '../probe.ts';
import { countJump } from './hotness.ts';
import { JUMPED_TO, RegionExit } from './interface.ts';

const Z = i32(0);
const state = (field: number): E => Z.ld32(STATE + field);

/** Adds region_next() -> what a region returns. F.rip (a linear address: code segments are flat in regions) and F.fuel are exact. */
export function defineChain(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('region_next', [], ['i32'], (f) => {
    const left = (c: E): void => f.if(c, () => f.return(i32(RegionExit.Left)), undefined, false);
    const fuel = f.let(state(F.fuel));
    left(fuel.leS(0));
    // elsewhere F.rip is no linear address
    const flat = mode === 64 ? MODE_KEY_64 : FLAT_32;
    left(state(F.mode).and(flat).ne(flat));
    const rip = f.let(mode === 64 ? Z.ld64(STATE + F.rip) : state(F.rip));
    const page = f.let(mode === 64 ? rip.and(-4096n) : rip.and(-4096));
    const lo = rip.lo();
    const entry = f.let(state(F.tlb).add(lo.shrU(7).and((TLB_ENTRIES - 1) << 5)));
    left(page.ne(mode === 64 ? entry.ld64(TLB_TAG_EXEC) : entry.ld32(TLB_TAG_EXEC)));
    const frame = f.let(page.lo().add(entry.ld32(TLB_ADDEND)).sub(RAM_BASE).shrU(12));
    const map = f.let(frame.shl(2).ld32(PAGE_CODE));
    left(map.eqz());
    left(map.ld32(CodePage.key).ne(state(F.mode)));
    const record = f.let(map.add(lo.and(4095).shl(2)).ld32());
    left(record.eqz());
    const handler = f.let(record.ld16u(OP.handler));
    left(handler.eqz());
    f.st64(Z, STATE + SLOT_PAGE_BASE, page.zx());
    f.st32(Z, STATE + F.codeFrame, frame);
    f.if(handler.ltU(FIRST_REGION), () => {
      countJump(f, record, i32(1));
      f.return(record.or(JUMPED_TO));
    });
    if (probe.dispatched) f.callVoid('dispatched', record.or(JUMPED_TO));
    f.st32(Z, STATE + F.fuel, fuel.sub(1));
    f.returnCallIndirect(['i32'], ['i32'], handler, record);
  });
}
