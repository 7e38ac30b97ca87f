// From one region to the next without the interpreter's loop: region_next finds what F.rip enters in a small table (REGION_TARGETS) or leaves it to
// region_search, which looks it up as the interpreter does and notes it there; both tail-call it.
// Invariant: they do nothing that the interpreter's look-up would not do; whatever is not plain they leave to that look-up. The table holds only
// regions that can be entered: region-cache.ts clears what dies.

import type { E } from '../../wasm/expr.ts';
import { i32 } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { CodePage } from '../code-cache.ts';
import type { HostMemory } from '../host-memory.ts';
import {
  F,
  FIRST_REGION,
  OP,
  PAGE_CODE,
  RAM_BASE,
  REGION_TARGETS,
  RegionTarget,
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

/** Address of the table's entry for a WebAssembly address. Functions begin at multiples of 16: the page's number spreads them. */
const targetOf = (address: E): E =>
  address
    .xor(address.shrU(12))
    .and(RegionTarget.entries - 1)
    .shl(4)
    .add(REGION_TARGETS);

/** No region begins at the WebAssembly address any more, if it was the one in this slot. */
export function forgetTarget({ u32 }: HostMemory, address: number, slot: number): void {
  const at = (REGION_TARGETS >> 2) + (((address ^ (address >>> 12)) & (RegionTarget.entries - 1)) << 2);
  if (u32[at + (RegionTarget.slot >> 2)] === slot) u32[at + (RegionTarget.address >> 2)] = 0;
}

/** Where F.rip (a linear address: code segments are flat in regions) is, if the exec TLB has it. */
interface Place {
  readonly lo: E;
  /** Linear address of its page, as wide as addresses are. */
  readonly page: E;
  /** WebAssembly address. */
  readonly address: E;
}
/** Reads F.rip. @param missing writes what happens if the TLB does not have it */
function place(f: FunctionBuilder, mode: 32 | 64, missing: (c: E) => void): Place {
  const rip = f.let(mode === 64 ? Z.ld64(STATE + F.rip) : state(F.rip));
  const page = f.let(mode === 64 ? rip.and(-4096n) : rip.and(-4096));
  const lo = f.let(rip.lo());
  const entry = f.let(state(F.tlb).add(lo.shrU(7).and((TLB_ENTRIES - 1) << 5)));
  missing(page.ne(mode === 64 ? entry.ld64(TLB_TAG_EXEC) : entry.ld32(TLB_TAG_EXEC)));
  return { lo, page, address: f.let(lo.add(entry.ld32(TLB_ADDEND))) };
}
/** It executes from here on. */
function setPlace(f: FunctionBuilder, { page, address }: Place): void {
  f.st64(Z, STATE + SLOT_PAGE_BASE, page.zx());
  f.st32(Z, STATE + F.codeFrame, address.sub(RAM_BASE).shrU(12));
}
function enter(f: FunctionBuilder, slot: E, record: E, fuel: E): void {
  if (probe.dispatched) f.callVoid('dispatched', record.or(JUMPED_TO));
  f.st32(Z, STATE + F.fuel, fuel.sub(1));
  f.returnCallIndirect(['i32'], ['i32'], slot, record);
}

/** Adds region_next() and region_search() -> what a region returns. F.rip and F.fuel are exact. */
export function defineChain(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('region_search', [], ['i32'], (f) => {
    const left = (c: E): void => f.if(c, () => f.return(i32(RegionExit.Left)), undefined, false);
    const fuel = f.let(state(F.fuel));
    left(fuel.leS(0));
    // elsewhere F.rip is no linear address
    const flat = mode === 64 ? MODE_KEY_64 : FLAT_32;
    left(state(F.mode).and(flat).ne(flat));
    const at = place(f, mode, left);
    const map = f.let(at.address.sub(RAM_BASE).shrU(12).shl(2).ld32(PAGE_CODE));
    left(map.eqz());
    left(map.ld32(CodePage.key).ne(state(F.mode)));
    const record = f.let(map.add(at.lo.and(4095).shl(2)).ld32());
    left(record.eqz());
    const handler = f.let(record.ld16u(OP.handler));
    left(handler.eqz());
    setPlace(f, at);
    f.if(handler.ltU(FIRST_REGION), () => {
      countJump(f, record, i32(1));
      f.return(record.or(JUMPED_TO));
    });
    const target = f.let(targetOf(at.address));
    f.st32(target, RegionTarget.address, at.address);
    f.st32(target, RegionTarget.key, state(F.mode));
    f.st32(target, RegionTarget.record, record);
    f.st32(target, RegionTarget.slot, handler);
    enter(f, handler, record, fuel);
  });
  m.func('region_next', [], ['i32'], (f) => {
    const search = (c: E): void => f.if(c, () => f.returnCall('region_search'), undefined, false);
    const at = place(f, mode, search);
    const target = f.let(targetOf(at.address));
    search(target.ld32(RegionTarget.address).ne(at.address));
    // a region's key says that code segments are flat
    search(target.ld32(RegionTarget.key).ne(state(F.mode)));
    const fuel = f.let(state(F.fuel));
    search(fuel.leS(0));
    setPlace(f, at);
    enter(f, target.ld32(RegionTarget.slot), target.ld32(RegionTarget.record), fuel);
  });
}
