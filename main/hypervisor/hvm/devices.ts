// MMIO and model-specific registers of an HVM vCPU that the CPU core does not have itself.

import { PAGE_SIZE } from '../abi/constants.ts';
import { writeHypercallPage } from '../hypercalls/hypercall-page.ts';
import { updateWallClock } from '../time/pv-clock.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { isLongMode } from './mode.ts';

const MSR_APIC_BASE = 0x1b;
const MSR_HYPERCALL_PAGE = 0x4000_0000;
const APIC_BASE = 0xfee0_0000;

export function hvmMmioRead(v: GuestVcpu, maddr: number, size: number): number {
  v.domain.count(v.domain.counters.exits, 'mmio');
  if (maddr >= APIC_BASE && maddr < APIC_BASE + PAGE_SIZE && v.hvm!.apic.enabled)
    return v.hvm!.apic.mmioRead(maddr - APIC_BASE, size);
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}

export function hvmMmioWrite(v: GuestVcpu, maddr: number, size: number, value: number): void {
  v.domain.count(v.domain.counters.exits, 'mmio');
  if (maddr >= APIC_BASE && maddr < APIC_BASE + PAGE_SIZE && v.hvm!.apic.enabled)
    v.hvm!.apic.mmioWrite(maddr - APIC_BASE, size, value);
}

export function hvmReadMsr(v: GuestVcpu, msr: number): { lo: number; hi: number } | null {
  v.domain.count(v.domain.counters.exits, 'msr');
  const { apic } = v.hvm!;
  if (msr === MSR_APIC_BASE) return { lo: apic.apicBase, hi: 0 };
  if (msr >= 0x800 && msr < 0x900) return apic.readX2apicMsr(msr);
  return null;
}

export function hvmWriteMsr(v: GuestVcpu, msr: number, lo: number, hi: number): boolean {
  v.domain.count(v.domain.counters.exits, 'msr');
  const { apic } = v.hvm!;
  if (msr === MSR_APIC_BASE) return apic.writeApicBase(lo, hi, false);
  if (msr >= 0x800 && msr < 0x900) return apic.writeX2apicMsr(msr, lo, hi);
  if (msr === MSR_HYPERCALL_PAGE) {
    const index = lo & 0xfff;
    if (index !== 0 || hi !== 0) return false;
    const mfn = v.domain.gfnToMfn(lo >>> 12);
    if (mfn < 0 || v.domain.host.frames.owner[mfn] !== v.domain.domid) return false;
    writeHypercallPage(v.domain, mfn);
    // The layout of shared_info follows the mode the kernel runs in now (hvm_latch_shinfo_size).
    v.domain.shinfo32 = !isLongMode(v);
    updateWallClock(v.domain); // the wall clock lies elsewhere in the other layout
    return true;
  }
  return false;
}
