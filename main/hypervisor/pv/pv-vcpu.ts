// The paravirtual context of one vCPU: what a guest kernel registers instead of programming the CPU, and the page-table
// bases in use. Invariant: guestTable and guestTableUser each hold a general and a type reference while they are set.

import { F, Seg } from '../../machine/cpu/layout.ts';
import {
  Cr0,
  Cr4,
  Efer,
  Eflags,
  PERDOMAIN_LDT_OFFSET,
  PERDOMAIN_VCPU_SHIFT,
  PERDOMAIN_VIRT_START_HI,
} from '../abi/constants.ts';
import { interceptPv } from '../intercepts.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { writePte } from './pv-domain.ts';
import { Pte } from '../memory/pte.ts';
import { loadSegment } from './descriptors.ts';

export interface Callback {
  cs: number;
  address: bigint;
  maskEvents: boolean;
}
const noCallback = (): Callback => ({ cs: 0, address: 0n, maskEvents: false });

export class PvVcpu {
  private readonly v: GuestVcpu;
  readonly trapCs = new Uint16Array(256);
  readonly trapFlags = new Uint8Array(256);
  readonly trapAddress = new BigUint64Array(256);
  kernelSs = 0;
  kernelSp = 0n;
  event = noCallback();
  failsafe = noCallback();
  syscall = noCallback();
  syscall32 = noCallback();
  sysenter = noCallback();
  nmi = noCallback();
  /** Its NMI callback has been entered and it has not called HYPERVISOR_iret since: another NMI waits (Xen's async_exception_mask). */
  nmiMasked = false;
  readonly gdtFrames: number[] = [];
  gdtEntries = 0;
  ldtBase = 0n;
  ldtEntries = 0;
  guestTable = -1;
  guestTableUser = -1;
  /** 32-bit guests: the hypervisor's own top level. */
  monitorL4 = -1;
  /** 64-bit guests: kernel or user mode (both are ring 3). 32-bit guests: by the ring. */
  kernelMode64 = true;
  gsBaseKernel = 0n;
  gsBaseUser = 0n;
  /** CR0 and CR4 as the guest reads them. */
  cr0 = Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.PG;
  cr4 = Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.MCE | Cr4.DE;
  iopl = 0;
  readonly debugRegs = new BigUint64Array(8);

  constructor(v: GuestVcpu) {
    this.v = v;
  }

  get kernelMode(): boolean {
    return this.v.domain.is32 ? (this.v.cpu.selector(Seg.CS) & 3) === 1 : this.kernelMode64;
  }

  /** High half and low half of its GDT's linear address. */
  get gdtBase(): bigint {
    return (BigInt(PERDOMAIN_VIRT_START_HI) << 32n) + BigInt(this.v.id * 2 ** PERDOMAIN_VCPU_SHIFT);
  }
  get ldtArea(): bigint {
    return this.gdtBase + BigInt(PERDOMAIN_LDT_OFFSET);
  }

  /** The CPU state every PV vCPU starts from: long mode, paging on, all exceptions and privileged events intercepted. */
  reset(): void {
    const { cpu } = this.v;
    this.v.machine.reset();
    this.nmiMasked = false;
    cpu.setU32(F.cr0, Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.PG);
    cpu.setU32(F.cr4, Cr4.PAE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.DE);
    cpu.setU32(F.efer, Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);
    cpu.setU64(F.gdtBase, this.gdtBase);
    cpu.setU32(F.gdtLimit, 0xffff);
    cpu.setU64(F.idtBase, 0n);
    cpu.setU32(F.idtLimit, 0);
    cpu.setSegment(Seg.LDTR, 0, 0n, 0, 0x1_0000);
    cpu.setSegment(Seg.TR, 0, 0n, 0, 0x8b);
    interceptPv(this.v.machine);
    const kernel = this.v.domain.is32 ? { cs: 0xe019, ds: 0xe021 } : { cs: 0xe033, ds: 0xe02b };
    for (const seg of [Seg.DS, Seg.ES, Seg.FS, Seg.GS]) loadSegment(this.v, seg, this.v.domain.is32 ? kernel.ds : 0);
    loadSegment(this.v, Seg.SS, kernel.ds);
    loadSegment(this.v, Seg.CS, kernel.cs);
    cpu.setU32(F.cpl, kernel.cs & 3);
    cpu.rflags = Eflags.IF | 2;
  }

  /** Makes the page tables of the current mode the CPU's. */
  loadCr3(): void {
    const { cpu, domain } = this.v;
    if (domain.is32) {
      writePte(
        domain.host,
        this.monitorL4,
        0,
        Math.max(0, this.guestTable),
        this.guestTable < 0 ? 0 : Pte.P | Pte.RW | Pte.US | Pte.A,
      );
      cpu.setU64(F.cr3, BigInt(this.monitorL4) << 12n);
    } else {
      const mfn = this.kernelMode64 ? this.guestTable : this.guestTableUser;
      cpu.setU64(F.cr3, BigInt(mfn) << 12n);
    }
    if (domain.host.loaded === this.v) domain.host.core.tlb.flush(domain.is32);
  }

  /** 64-bit guests: kernel <-> user. False when the guest has no user page table. */
  toggleMode(): boolean {
    if (this.kernelMode64 && this.guestTableUser < 0) return false;
    const { cpu } = this.v;
    if (this.kernelMode64) this.gsBaseKernel = cpu.segBase(Seg.GS);
    else this.gsBaseUser = cpu.segBase(Seg.GS);
    this.kernelMode64 = !this.kernelMode64;
    cpu.setSegBase(Seg.GS, this.kernelMode64 ? this.gsBaseKernel : this.gsBaseUser);
    this.loadCr3();
    return true;
  }

  /** Drops every reference its context holds. */
  release(): void {
    const { types } = this.v.domain.host;
    this.unmapLdt();
    this.dropGdt();
    if (this.guestTable >= 0) types.putPageAndType(this.guestTable);
    if (this.guestTableUser >= 0) types.putPageAndType(this.guestTableUser);
    this.guestTable = this.guestTableUser = -1;
  }

  dropGdt(): void {
    const { pv, host } = this.v.domain;
    this.gdtFrames.forEach((mfn, page) => {
      pv!.mapPerDomain(this.v.id, page, -1);
      host.types.putPageAndType(mfn);
    });
    this.gdtFrames.length = 0;
    this.gdtEntries = 0;
  }

  /** Forgets the LDT pages that were mapped on demand. */
  unmapLdt(): void {
    const { pv, host } = this.v.domain;
    for (let page = 16; page < 32; page++) {
      const mfn = pv!.perDomainMfn(this.v.id, page);
      if (mfn < 0) continue;
      pv!.mapPerDomain(this.v.id, page, -1);
      host.types.putPageAndType(mfn);
    }
  }
}
