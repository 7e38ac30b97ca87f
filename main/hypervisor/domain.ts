// A domain: what it owns, and the state that is not a vCPU's. The hypervisor's other parts hang off it.

import type { ScheduledEvent } from '../machine/clock.ts';
import type { HostMemory } from '../machine/cpu/host-memory.ts';
import { CodeBreakpoints } from '../machine/cpu/system/code-breakpoints.ts';
import { DOMID_CONTROL } from './abi/constants.ts';
import { EventChannels } from './events/event-channels.ts';
import { GrantTable } from './grants/grant-table.ts';
import type { Host } from './host.ts';
import type { HvmDomain } from './hvm/hvm-domain.ts';
import { LogDirty } from './memory/log-dirty.ts';
import type { PagingDomain } from './memory/page-types.ts';
import type { PvDomain } from './pv/pv-domain.ts';
import { traceName } from './trace.ts';
import type { GuestVcpu } from './vcpu.ts';
import { frameAddress } from './memory/frames.ts';

const TRACE = {
  allocate: traceName('memory', 'allocate', ['mfn', 'order']),
  release: traceName('memory', 'release', ['mfn']),
} as const;

export type DomainKind = 'pv32' | 'pv64' | 'hvm' | 'control';

/** Counters the toolstack reports; see shared/model Figures. */
export interface DomainCounters {
  hypercalls: Map<string, number>;
  exits: Map<string, number>;
  pageFaults: number;
  emulatedWrites: number;
  injected: number;
  unknownHypercalls: number;
}

export class Domain implements PagingDomain {
  readonly host: Host;
  readonly mem: HostMemory;
  readonly domid: number;
  readonly uuid: Uint8Array;
  kind: DomainKind;
  name: string;
  readonly vcpus: GuestVcpu[] = [];
  readonly events: EventChannels;
  readonly grants: GrantTable;
  readonly logDirty: LogDirty;
  pv: PvDomain | null = null;
  hvm: HvmDomain | null = null;
  /** Pages it owns now, and the most it may own. */
  totalPages = 0;
  maxPages = 0;
  sharedInfoMfn = -1;
  /** Layout of shared_info and vcpu_info: 32-bit or 64-bit. */
  shinfo32 = false;
  vmAssist = 0n;
  /** HVM parameters by index. */
  readonly params = new BigUint64Array(64);
  /** > 0: no vCPU runs. A new domain starts paused by its builder. */
  pauseCount = 1;
  /** Shut down with this reason (sched.h), or null. */
  shutdownReason: number | null = null;
  /** Why the hypervisor stopped it, or null. */
  crashReason: string | null = null;
  dying = false;
  /** Credit scheduler weight and cap (percent of one pCPU, 0 = none). */
  weight = 256;
  cap = 0;
  /** The pCPUs its vCPUs may run on (hard affinity); null = all. */
  affinity: ReadonlySet<number> | null = null;
  /** Its watchdogs by slot (SCHEDOP_watchdog); null is a free slot. */
  readonly watchdogs: (ScheduledEvent | null)[] = [null, null];
  /** The memory map that XENMEM_memory_map returns; types as in e820. */
  memoryMap: { address: number; size: number; type: number }[] = [];
  readonly counters: DomainCounters = {
    hypercalls: new Map(),
    exits: new Map(),
    pageFaults: 0,
    emulatedWrites: 0,
    injected: 0,
    unknownHypercalls: 0,
  };
  /** A debugger's: the domain pauses before these instructions. Its guest cannot see them. */
  readonly breakpoints = new CodeBreakpoints();
  /** The breakpoint it stands before since it was paused there, or null. */
  breakpointHit: { vcpu: number; address: bigint } | null = null;
  /** Told when a breakpoint pauses the domain. */
  onBreakpoint: ((d: Domain) => void) | null = null;
  /** Told once when the domain shuts down or crashes. */
  onShutdown: ((d: Domain) => void) | null = null;
  /** Bytes written with console_io. */
  onConsoleIo: ((bytes: Uint8Array) => void) | null = null;
  /** Nanoseconds added to the host's system time to get the wall clock (Unix epoch). */
  wallClockBaseNs = 0n;

  constructor(host: Host, domid: number, kind: DomainKind, name: string, uuid: Uint8Array) {
    this.host = host;
    this.mem = host.mem;
    this.domid = domid;
    this.kind = kind;
    this.name = name;
    this.uuid = uuid;
    this.shinfo32 = kind === 'pv32';
    this.events = new EventChannels(this, kind === 'control' ? 1 << 17 : 4096);
    this.grants = new GrantTable(this);
    this.logDirty = new LogDirty(this);
  }

  get is32(): boolean {
    return this.kind === 'pv32';
  }
  get isPv(): boolean {
    return this.kind === 'pv32' || this.kind === 'pv64';
  }
  get isControl(): boolean {
    return this.domid === DOMID_CONTROL;
  }

  /** Byte address of shared_info in host memory. */
  get sharedInfo(): number {
    return frameAddress(this.sharedInfoMfn);
  }

  /** L4 tables of a PV domain carry the hypervisor's slots. */
  initL4(mfn: number): void {
    this.pv?.initL4(mfn);
  }
  initL2Xen(mfn: number): void {
    this.pv?.initL2Xen(mfn);
  }

  /** A guest frame number's machine frame: the same for PV, through the second level for HVM. -1 when there is none. */
  gfnToMfn(gfn: number): number {
    if (this.hvm) return this.hvm.p2m.get(gfn);
    return this.host.frames.valid(gfn) ? gfn : -1;
  }

  /** Allocates one zeroed page within the domain's limit; -1 when it may not or the host has none. */
  allocatePage(): number {
    if (this.totalPages >= this.maxPages) return -1;
    const mfn = this.host.frames.allocate(this.domid);
    if (mfn >= 0) this.totalPages++;
    if (mfn >= 0 && this.host.trace.recording) this.host.trace.add(TRACE.allocate, this.domid, 0, mfn, 0);
    return mfn;
  }

  allocatePages(order: number): number {
    if (this.totalPages + 2 ** order > this.maxPages) return -1;
    const mfn = this.host.frames.allocateContiguous(this.domid, order);
    if (mfn >= 0) this.totalPages += 2 ** order;
    if (mfn >= 0 && this.host.trace.recording) this.host.trace.add(TRACE.allocate, this.domid, 0, mfn, order);
    return mfn;
  }

  /** Gives one page back to the host (the owner's reference only; mappings may hold it longer). */
  releasePage(mfn: number): void {
    if (this.host.trace.recording) this.host.trace.add(TRACE.release, this.domid, 0, mfn);
    this.host.frames.release(mfn);
    this.totalPages--;
  }

  get runnable(): boolean {
    return this.pauseCount === 0 && this.shutdownReason === null && !this.dying;
  }

  pause(): void {
    if (this.pauseCount++ === 0) for (const v of this.vcpus) v.sleep();
  }

  unpause(): void {
    if (this.pauseCount === 1) this.breakpointHit = null;
    if (this.pauseCount > 0 && --this.pauseCount === 0) for (const v of this.vcpus) v.wakeIfRunnable();
  }

  /** The guest asked for it, or the hypervisor decided: no vCPU runs any more. */
  shutdown(reason: number): void {
    if (this.shutdownReason !== null) return;
    this.shutdownReason = reason;
    for (const v of this.vcpus) v.sleep();
    this.onShutdown?.(this);
  }

  /** The guest made a mistake that has no other answer. */
  crash(reason: string): void {
    if (this.shutdownReason !== null) return;
    this.crashReason = reason;
    this.shutdown(3);
  }

  /** Wakes vCPUs that poll on `port` (SCHEDOP_poll). */
  checkPollers(port: number): void {
    for (const v of this.vcpus)
      if (v.polling && (v.polling.length === 0 || v.polling.includes(port))) {
        v.polling = null;
        v.unblock();
      }
  }

  count(map: Map<string, number>, key: string): void {
    map.set(key, (map.get(key) ?? 0) + 1);
  }
}
