// Guest memory for translated code that misses the TLB: region_read and region_write, as WebAssembly in the interpreter's module.
// Invariant: they do nothing but fill a TLB entry; whatever needs more (faults, devices, two pages, decoded code in the way, entries without
// A or D bits) is left to the interpreter, which executes the instruction.

import { E, i32 } from '../../wasm/expr.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { F, STATE, TLB_ADDEND, TLB_FLAGS, TLB_FLAG_CODE, TLB_TAG_READ, TLB_TAG_WRITE } from '../layout.ts';
import { entryOf } from '../walk.ts';

const Z = i32(0);
/** walk_fill's accesses, and its result when the entry has been filled. */
const READ = 0;
const WRITE = 1;
const FILLED = 1;

/** What instructions with careful accesses call: others are left to the interpreter at once (careful-places.ts). */
export const ACCESS_CALLS = ['region_read', 'region_write'];

/** Adds region_read and region_write (linear low, high, bytes) -> WebAssembly address, or 0. */
export function defineRegionAccess(m: ModuleBuilder, mode: 32 | 64): void {
  for (const write of [false, true])
    m.func(write ? 'region_write' : 'region_read', ['i32', 'i32', 'i32'], ['i32'], (f) => {
      const [lo, hi, bytes] = f.params as unknown as [E, E, E];
      f.if(lo.and(4095).add(bytes).gtU(4096), () => f.return(Z));
      if (mode === 64) f.if(hi.ne(hi.shl(16).shrS(16)), () => f.return(Z));
      const user = f.let(Z.ld32(STATE + F.cpl).eq(3));
      const page = lo.and(-4096);
      const tag = f.let(mode === 64 ? page.zx().or(hi.zx().shl(32n)) : page);
      const entry = f.let(entryOf(lo, user));
      const has = (field: number): E => (mode === 64 ? entry.ld64(field) : entry.ld32(field)).eq(tag);
      const wanted = write ? TLB_TAG_WRITE : TLB_TAG_READ;
      // a page with decoded code is never writable in the TLB; it is checked each time
      const code = has(TLB_TAG_READ).and(entry.ld32(TLB_FLAGS).and(TLB_FLAG_CODE).ne(0));
      f.if((write ? has(wanted).or(code) : has(wanted)).eqz(), () => {
        const r = f.let(f.call('walk_fill', lo, hi, i32(write ? WRITE : READ), user));
        f.if(r.ne(FILLED), () => f.return(Z));
      });
      f.if(has(wanted), () => f.return(lo.add(entry.ld32(TLB_ADDEND))));
      f.return(write ? f.call('code_untouched', entry, lo, bytes) : Z);
    });
}
