// What all vCPUs of a PV domain share: the hypervisor's slots in its page tables and the per-domain area that holds the
// descriptor tables of each vCPU.
// Invariant: slot 256 (M2P) is readable from ring 3 and never writable; slot 260 is supervisor-only.

import { PAGE } from '../../machine/cpu/layout.ts';
import {
  COMPAT_L2_FIRST_XEN_SLOT,
  FIRST_RESERVED_GDT_PAGE,
  L4_FIRST_XEN_SLOT,
  L4_LAST_XEN_SLOT,
  L4_SLOT_M2P,
  L4_SLOT_PERDOMAIN,
  MAX_DOMAIN_VCPUS,
} from '../abi/constants.ts';
import type { Domain } from '../domain.ts';
import { invariant } from '../errors.ts';
import type { Host } from '../host.ts';
import { Pte } from '../memory/pte.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { PvVcpu } from './pv-vcpu.ts';
import { writeReservedGdt } from './reserved-gdt.ts';
import { frameAddress } from '../memory/frames.ts';

const SUPERVISOR = Pte.P | Pte.RW | Pte.A | Pte.D;
/** One L1 page maps the per-domain areas of 16 vCPUs (128 KiB each). */
const VCPUS_PER_L1 = 16;

/** Frames that all PV domains of a host share: M2P tables and reserved descriptor pages. */
interface SharedTables {
  m2pL3: number;
  gdt64: number;
  gdt32: number;
}
const shared = new WeakMap<Host, SharedTables>();

function xenFrame(host: Host): number {
  const mfn = host.frames.allocateXen();
  invariant(mfn >= 0, 'no frame left for a hypervisor table');
  return mfn;
}

export function writePte(host: Host, mfn: number, index: number, target: number, flags: number): void {
  const at = (frameAddress(mfn) >>> 2) + index * 2;
  host.mem.u32[at] = ((target << 12) | flags) >>> 0;
  host.mem.u32[at + 1] = 0;
  host.mem.noteWrite(mfn * PAGE + index * 8, 8);
}

function sharedTables(host: Host): SharedTables {
  let t = shared.get(host);
  if (t) return t;
  t = { m2pL3: xenFrame(host), gdt64: xenFrame(host), gdt32: xenFrame(host) };
  const l2 = xenFrame(host);
  writePte(host, t.m2pL3, 0, l2, Pte.P | Pte.US | Pte.A);
  for (let i = 0; i * 0x20_0000 < host.m2p.wideBytes; i++)
    writePte(host, l2, i, (host.m2p.wideBase >>> 12) + i * 512, Pte.P | Pte.US | Pte.A | Pte.PSE);
  writeReservedGdt(host, t.gdt64, false);
  writeReservedGdt(host, t.gdt32, true);
  shared.set(host, t);
  return t;
}

export class PvDomain {
  private readonly d: Domain;
  private readonly tables: SharedTables;
  private readonly l3: number;
  private readonly l2: number;
  private readonly l1: number[] = [];
  /** Where the guest said its own tables are (shared_info.arch), for save and dump. */
  hypercallPage = -1n;

  constructor(d: Domain) {
    this.d = d;
    this.tables = sharedTables(d.host);
    this.l3 = xenFrame(d.host);
    this.l2 = xenFrame(d.host);
    writePte(d.host, this.l3, 0, this.l2, SUPERVISOR);
  }

  addVcpu(v: GuestVcpu): void {
    invariant(v.id < MAX_DOMAIN_VCPUS, 'more vCPUs than a domain may have');
    const group = Math.floor(v.id / VCPUS_PER_L1);
    if (this.l1[group] === undefined) {
      this.l1[group] = xenFrame(this.d.host);
      writePte(this.d.host, this.l2, group, this.l1[group], SUPERVISOR);
    }
    const gdt = this.d.is32 ? this.tables.gdt32 : this.tables.gdt64;
    v.pv = new PvVcpu(v);
    this.mapPerDomain(v.id, FIRST_RESERVED_GDT_PAGE, gdt);
    if (this.d.is32) v.pv.monitorL4 = this.newMonitor();
    v.pv.reset();
  }

  /** Maps a frame at page `page` (0-15 GDT, 16-31 LDT) of a vCPU's per-domain area; -1 unmaps. */
  mapPerDomain(vcpu: number, page: number, mfn: number): void {
    const l1 = this.l1[Math.floor(vcpu / VCPUS_PER_L1)];
    writePte(this.d.host, l1, (vcpu % VCPUS_PER_L1) * 32 + page, Math.max(mfn, 0), mfn < 0 ? 0 : SUPERVISOR);
    this.d.host.frames.flushNeeded = true;
  }

  /** Frame mapped at a page of a vCPU's per-domain area, or -1. */
  perDomainMfn(vcpu: number, page: number): number {
    const l1 = this.l1[Math.floor(vcpu / VCPUS_PER_L1)];
    const lo = this.d.mem.u32[(frameAddress(l1) >>> 2) + ((vcpu % VCPUS_PER_L1) * 32 + page) * 2];
    return lo & Pte.P ? lo >>> 12 : -1;
  }

  /** A 32-bit vCPU's top level: slot 0 points to the guest's L3 (see PvVcpu.loadCr3). */
  private newMonitor(): number {
    const mfn = xenFrame(this.d.host);
    this.initL4(mfn);
    return mfn;
  }

  initL4(mfn: number): void {
    const host = this.d.host;
    for (let i = L4_FIRST_XEN_SLOT; i <= L4_LAST_XEN_SLOT; i++) writePte(host, mfn, i, 0, 0);
    if (!this.d.is32) writePte(host, mfn, L4_SLOT_M2P, this.tables.m2pL3, Pte.P | Pte.US | Pte.A);
    writePte(host, mfn, L4_SLOT_PERDOMAIN, this.l3, SUPERVISOR);
  }

  initL2Xen(mfn: number): void {
    const host = this.d.host;
    const large = host.m2p.narrowBytes >>> 21;
    for (let i = COMPAT_L2_FIRST_XEN_SLOT; i < 512; i++) {
      const n = i - COMPAT_L2_FIRST_XEN_SLOT;
      if (n < large && n < 8) writePte(host, mfn, i, (host.m2p.narrowBase >>> 12) + n * 512, Pte.P | Pte.A | Pte.PSE);
      else writePte(host, mfn, i, 0, 0);
    }
  }

  /** Drops what the vCPUs hold and the tables of the per-domain area. The domain is dying. */
  release(): void {
    const { frames } = this.d.host;
    for (const v of this.d.vcpus) {
      v.pv!.release();
      if (v.pv!.monitorL4 >= 0) frames.release(v.pv!.monitorL4);
    }
    for (const l1 of this.l1) if (l1 !== undefined) frames.release(l1);
    frames.release(this.l2);
    frames.release(this.l3);
  }
}
