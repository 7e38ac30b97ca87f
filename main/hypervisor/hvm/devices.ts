// MMIO and model-specific registers of an HVM vCPU that the CPU core does not have itself.

import { PAGE_SIZE } from '../abi/constants.ts';
import { writeHypercallPage } from '../hypercalls/hypercall-page.ts';
import { updateWallClock } from '../time/pv-clock.ts';
import { traceName } from '../trace.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { isLongMode } from './mode.ts';

const MSR_APIC_BASE = 0x1b;
const MSR_HYPERCALL_PAGE = 0x4000_0000;
const APIC_BASE = 0xfee0_0000;

const TRACE = {
  mmioRead: traceName('exit', 'MMIO read', ['address', 'bytes']),
  mmioWrite: traceName('exit', 'MMIO write', ['address', 'bytes', 'value']),
  rdmsr: traceName('exit', 'RDMSR', ['msr']),
  wrmsr: traceName('exit', 'WRMSR', ['msr', 'low', 'high']),
} as const;

export function hvmMmioRead(v: GuestVcpu, maddr: number, size: number): number {
  v.domain.count(v.domain.counters.exits, 'mmio');
  if (v.domain.host.trace.recording) v.domain.host.trace.add(TRACE.mmioRead, v.domain.domid, v.id, maddr, size);
  if (maddr >= APIC_BASE && maddr < APIC_BASE + PAGE_SIZE && v.hvm!.apic.enabled)
    return v.hvm!.apic.mmioRead(maddr - APIC_BASE, size);
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}

export function hvmMmioWrite(v: GuestVcpu, maddr: number, size: number, value: number): void {
  v.domain.count(v.domain.counters.exits, 'mmio');
  if (v.domain.host.trace.recording)
    v.domain.host.trace.add(TRACE.mmioWrite, v.domain.domid, v.id, maddr, size, value >>> 0);
  if (maddr >= APIC_BASE && maddr < APIC_BASE + PAGE_SIZE && v.hvm!.apic.enabled)
    v.hvm!.apic.mmioWrite(maddr - APIC_BASE, size, value);
}

export function hvmReadMsr(v: GuestVcpu, msr: number): { lo: number; hi: number } | null {
  v.domain.count(v.domain.counters.exits, 'msr');
  if (v.domain.host.trace.recording) v.domain.host.trace.add(TRACE.rdmsr, v.domain.domid, v.id, msr);
  const { apic } = v.hvm!;
  if (msr === MSR_APIC_BASE) return { lo: apic.apicBase, hi: 0 };
  if (msr >= 0x800 && msr < 0x900) return apic.readX2apicMsr(msr);
  return null;
}

export function hvmWriteMsr(v: GuestVcpu, msr: number, lo: number, hi: number): boolean {
  v.domain.count(v.domain.counters.exits, 'msr');
  if (v.domain.host.trace.recording)
    v.domain.host.trace.add(TRACE.wrmsr, v.domain.domid, v.id, msr, lo >>> 0, hi >>> 0);
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
