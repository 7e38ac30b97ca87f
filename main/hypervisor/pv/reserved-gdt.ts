// The two descriptor pages that the hypervisor keeps at the end of every PV guest's GDT: the flat segments whose
// selectors the interface fixes (arch-x86/xen-x86_64.h and xen-x86_32.h).

import { PAGE } from '../../machine/cpu/layout.ts';
import type { Host } from '../host.ts';
import { frameAddress } from '../memory/frames.ts';

/** Access byte and flags of a flat 4 GiB segment. */
function flat(dpl: number, code: boolean, long: boolean): { lo: number; hi: number } {
  // P, S, type (code: execute/read, data: read/write) accessed; G, D/B or L; limit 0xfffff.
  const type = code ? 0xb : 0x3;
  const access = 0x90 | (dpl << 5) | type;
  const flags = 0x8 | (long ? 0x2 : 0x4);
  return { lo: 0x0000_ffff, hi: ((flags << 20) | (0xf << 16) | (access << 8)) >>> 0 };
}

/** Fills frame `mfn` with the reserved descriptors of 64-bit (`is32` false) or 32-bit guests. */
export function writeReservedGdt(host: Host, mfn: number, is32: boolean): void {
  const base = frameAddress(mfn) >>> 2;
  const put = (selector: number, d: { lo: number; hi: number }) => {
    const index = base + (((selector & ~7) - 0xe000) >>> 2);
    host.mem.u32[index] = d.lo;
    host.mem.u32[index + 1] = d.hi;
  };
  if (is32) {
    put(0xe019, flat(1, true, false));
    put(0xe021, flat(1, false, false));
    put(0xe02b, flat(3, true, false));
    put(0xe033, flat(3, false, false));
  } else {
    put(0xe023, flat(3, true, false));
    put(0xe02b, flat(3, false, false));
    put(0xe033, flat(3, true, true));
  }
  host.mem.noteWrite(mfn * PAGE, PAGE);
}
