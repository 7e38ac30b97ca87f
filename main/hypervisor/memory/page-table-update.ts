// One page-table entry changes: the new entry takes its references first, is stored adjusted, then the old one gives
// its own back. Source: Xen mod_l1_entry .. mod_l4_entry; behaviour only.

import { PAGE } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import { FrameType } from './frame-table.ts';
import { levelOf, type PageTypes, type PagingDomain } from './page-types.ts';
import { PTE_BAD_HI, PTE_GUEST_KERNEL_HI, PTE_NX_HI, Pte } from './pte.ts';
import { frameAddress } from './frames.ts';

const out = { lo: 0, hi: 0 };
/** Bits of an L1 entry that may change without touching references. */
const L1_FAST_LO = Pte.US | Pte.A | Pte.D | Pte.G | Pte.AVAIL;

/**
 * Writes an entry of a table that is validated as `type` and owned by `d`.
 * @param maddr machine address of the entry, 8-byte aligned
 * @param preserveAd keep accessed and dirty bits that the CPU set meanwhile
 * @returns 0 or a negative errno; on error nothing has changed
 */
export function updateEntry(
  types: PageTypes,
  type: number,
  maddr: number,
  lo: number,
  hi: number,
  d: PagingDomain,
  preserveAd: boolean,
): number {
  const table = types.table;
  const mem = table.mem;
  const word = (frameAddress(0) + maddr) >>> 2;
  const index = (maddr % PAGE) >>> 3;
  if (!types.guestSlots(type, d, index)) return type === FrameType.L3 ? 0 : -Errno.EPERM;
  const oldLo = mem.u32[word];
  const oldHi = mem.u32[word + 1];
  const level = levelOf(type);
  const compatTop = type === FrameType.L3 && d.is32 && index === 3;
  if (compatTop && (lo & Pte.P) === 0) return -Errno.EINVAL;
  if (preserveAd) lo |= oldLo & (Pte.A | Pte.D);

  if (lo & Pte.P && level === 1 && oldLo & Pte.P) {
    const changedLo = (lo ^ oldLo) & ~L1_FAST_LO;
    const changedHi = (hi ^ oldHi) & ~(PTE_NX_HI | PTE_GUEST_KERNEL_HI);
    if (changedLo === 0 && changedHi === 0 && (hi & PTE_BAD_HI) === 0) {
      store(types, word, maddr, level, lo, hi, d);
      table.flushNeeded = true;
      return 0;
    }
  }
  const error = types.getEntry(level, lo, hi, d, compatTop);
  if (error) return error;
  store(types, word, maddr, level, lo, hi, d);
  types.putEntry(level, oldLo, oldHi);
  return 0;
}

function store(
  types: PageTypes,
  word: number,
  maddr: number,
  level: number,
  lo: number,
  hi: number,
  d: PagingDomain,
): void {
  types.adjust(level, lo, hi, d, out);
  const mem = types.table.mem;
  mem.u32[word] = out.lo;
  mem.u32[word + 1] = out.hi;
  mem.noteWrite(maddr, 8);
}
