// Loading segment registers on behalf of a PV guest, from its GDT frames or its LDT, with the checks of the SDM
// (vol. 3, 5.3 to 5.6) that matter when the hypervisor returns to a guest or changes a selector for it.

import { Seg, SegAttr } from '../../machine/cpu/layout.ts';
import { FIRST_RESERVED_GDT_PAGE } from '../abi/constants.ts';
import { FrameType } from '../memory/frame-table.ts';
import { translate } from '../guest-memory.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { frameAddress } from '../memory/frames.ts';

/** A descriptor's two words, or null when the selector is beyond its table or the page is not a descriptor page. */
export function readDescriptor(v: GuestVcpu, selector: number): { lo: number; hi: number } | null {
  const { pv, mem, id } = { pv: v.domain.pv!, mem: v.domain.mem, id: v.id };
  const index = selector >>> 3;
  let page = index >>> 9;
  if (selector & 4) {
    if (index >= v.pv!.ldtEntries || !mapLdtPage(v, page)) return null;
    page += 16;
  } else if (page < FIRST_RESERVED_GDT_PAGE && index >= v.pv!.gdtEntries) return null;
  const mfn = pv.perDomainMfn(id, page);
  if (mfn < 0) return null;
  const at = (frameAddress(mfn) >>> 2) + (index & 511) * 2;
  return { lo: mem.u32[at], hi: mem.u32[at + 1] };
}

/** Maps page `page` of the guest's LDT into its per-domain area; false when it is no descriptor page. */
export function mapLdtPage(v: GuestVcpu, page: number): boolean {
  const { pv, host } = v.domain;
  if (pv!.perDomainMfn(v.id, 16 + page) >= 0) return true;
  if (page * 512 >= v.pv!.ldtEntries || host.loaded !== v) return false;
  const maddr = translate(v, v.pv!.ldtBase + BigInt(page * 4096), false);
  if (maddr < 0) return false;
  const mfn = maddr >>> 12;
  if (host.types.getPageAndType(mfn, v.domain.domid, FrameType.SegDesc)) return false;
  pv!.mapPerDomain(v.id, 16 + page, mfn);
  host.flushIfNeeded();
  return true;
}

/** Base, limit and attributes of a code or data descriptor. */
export function unpack(lo: number, hi: number): { base: bigint; limit: number; attr: number } {
  const base = BigInt(((lo >>> 16) | ((hi & 0xff) << 16) | (hi & 0xff00_0000)) >>> 0);
  let limit = (lo & 0xffff) | (hi & 0xf_0000);
  const attr = (hi >>> 8) & 0xf0ff;
  if (attr & SegAttr.G) limit = ((limit << 12) | 0xfff) >>> 0;
  return { base, limit, attr };
}

/**
 * Loads a segment register. Returns false, with nothing changed, when a real load would fault.
 * CS is loaded for a return at the ring in its selector; the caller sets F.cpl.
 */
export function loadSegment(v: GuestVcpu, seg: number, selector: number): boolean {
  selector &= 0xffff;
  if ((selector & ~3) === 0) {
    if (seg === Seg.CS) return false;
    if (seg === Seg.SS) {
      // A null SS is legal in 64-bit mode below ring 3 only; PV guests run in ring 1 or 3.
      return false;
    }
    v.cpu.setSegment(seg, selector, 0n, 0, SegAttr.Unusable);
    return true;
  }
  const d = readDescriptor(v, selector);
  if (!d) return false;
  const { base, limit, attr } = unpack(d.lo, d.hi);
  if ((attr & SegAttr.Present) === 0 || (attr & SegAttr.NotSystem) === 0) return false;
  const dpl = (attr >>> SegAttr.DplShift) & 3;
  const rpl = selector & 3;
  const code = (attr & SegAttr.Code) !== 0;
  if (seg === Seg.CS) {
    if (!code) return false;
    if (attr & SegAttr.DC ? dpl > rpl : dpl !== rpl) return false;
    // A 32-bit guest never gets into 64-bit mode; L with D is reserved.
    if (attr & SegAttr.L && (v.domain.is32 || attr & SegAttr.DB)) return false;
  } else if (seg === Seg.SS) {
    if (code || (attr & SegAttr.RW) === 0 || dpl !== rpl) return false;
  } else {
    if (code && (attr & SegAttr.RW) === 0) return false;
    if (!(code && attr & SegAttr.DC) && dpl < Math.max(rpl, v.domain.is32 ? 1 : 3)) return false;
  }
  v.cpu.setSegment(seg, selector, base, limit, attr | SegAttr.Accessed);
  return true;
}
