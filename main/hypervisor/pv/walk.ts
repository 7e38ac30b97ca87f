// Finding the L1 entry that maps a linear address in a PV guest's page tables.

import { F } from '../../machine/cpu/layout.ts';
import { Pte, pteMfn } from '../memory/pte.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { frameAddress } from '../memory/frames.ts';

/** Machine address of the L1 entry for a linear address under the page tables in use, or -1 when a level is absent. */
export function findL1Entry(v: GuestVcpu, lo: number, hi: number): number {
  const mem = v.domain.mem;
  let table = Number(v.cpu.u64(F.cr3) >> 12n);
  const indexes = [(hi >>> 7) & 511, ((hi & 0x7f) << 2) | (lo >>> 30), (lo >>> 21) & 511];
  for (const index of indexes) {
    const at = (frameAddress(table) >>> 2) + index * 2;
    const entryLo = mem.u32[at];
    if ((entryLo & Pte.P) === 0 || entryLo & Pte.PSE) return -1;
    table = pteMfn(entryLo, mem.u32[at + 1]);
    if (!v.domain.host.frames.valid(table)) return -1;
  }
  return table * 4096 + ((lo >>> 12) & 511) * 8;
}
