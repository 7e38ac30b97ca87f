// A running or suspended domain as records of the stream (DomainSource). Invariant: nothing here changes the domain, but for the
// request to suspend and its withdrawal.

import { PAGE } from '../../machine/cpu/layout.ts';
import { BulkheadError } from '../../../shared/errors.ts';
import { ShutdownReason } from '../../hypervisor/abi/constants.ts';
import { guestCpuid } from '../../hypervisor/cpuid.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { Reg } from '../../hypervisor/cpu-view.ts';
import { frameAddress } from '../../hypervisor/memory/frames.ts';
import { domainPath } from '../domain-store.ts';
import type { Entry } from '../host-report.ts';
import type { Store } from '../../backends/xenstore/store.ts';
import { SAVED_VERSION, type SavedDomain } from '../stream/config.ts';
import { hasContents, type LibxcRecord, MAX_BATCH, PAGE_BYTES, type PageData, PageType } from '../stream/records.ts';
import type { DomainSource } from './contract.ts';
import { saveHvmContext } from './hvm-context.ts';
import { saveContext, saveExtended } from './pv-context.ts';
import { findP2m } from './pv-p2m.ts';
import { canonicalise, isOwn, pvPageType, pvPfnOf } from './pv-pages.ts';

/** How long a guest may take to suspend itself, in virtual time. */
export const SUSPEND_TIMEOUT_NS = 60e9;
/** Leaves whose features a guest relies on. */
const CPUID_LEAVES = [0, 1, 7, 0x8000_0000, 0x8000_0001, 0x8000_0007, 0x8000_0008];
const TSC_NEVER_EMULATE = 2;
/** HVM parameters that libxenguest keeps and that exist here: STORE_PFN, CONSOLE_PFN, VM86_TSS. */
const KEPT_PARAMS = [1, 17, 15];

export class HostDomainSource implements DomainSource {
  private readonly entry: Entry;
  private readonly d: Domain;
  private readonly store: Store;
  private readonly hostName: string;
  /** Machine frame by guest frame (-1 none), as of the last call of pfns(). */
  private map = new Int32Array(0);

  constructor(entry: Entry, store: Store, hostName: string) {
    this.entry = entry;
    this.d = entry.domain;
    this.store = store;
    this.hostName = hostName;
    this.refresh();
  }

  get domid(): number {
    return this.d.domid;
  }

  get pfnLimit(): number {
    return this.map.length;
  }

  mfnOf(pfn: number): number {
    return this.map[pfn] ?? -1;
  }

  get suspended(): boolean {
    return this.d.shutdownReason === ShutdownReason.Suspend && !this.d.dying;
  }

  saved(): SavedDomain {
    const { d, entry } = this;
    const hex = [...d.uuid].map((b) => b.toString(16).padStart(2, '0')).join('');
    return {
      version: SAVED_VERSION,
      spec: entry.spec,
      uuid: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
      bits: entry.bits,
      host: this.hostName,
      savedAt: d.host.now(),
      clockMHz: d.host.clockMHz,
      maxPages: d.maxPages,
      memoryMap: d.memoryMap.map((m) => ({ ...m })),
      targetKiB: Number(this.store.get(`${domainPath(d.domid)}/memory/target`) ?? entry.spec.memoryMiB * 1024),
      consoleBytes: entry.consoleBytes,
      macs: [...entry.macs],
    };
  }

  /** Looks anew which frames there are. */
  private refresh(): void {
    const { d } = this;
    const found: [pfn: number, mfn: number][] = [];
    let last = -1;
    const note = (pfn: number, mfn: number) => {
      found.push([pfn, mfn]);
      if (pfn > last) last = pfn;
    };
    if (d.hvm)
      // Pages of the hypervisor in the guest's map travel as memory, as with Xen: the guest maps the new host's over them.
      d.hvm.p2m.forEach((gfn, mfn) => {
        if (mfn < d.host.frames.frames && d.host.frames.owner[mfn] === d.domid) note(gfn, mfn);
      });
    else
      for (let mfn = 0; mfn < d.host.frames.frames; mfn++) {
        if (d.host.frames.owner[mfn] !== d.domid) continue;
        const pfn = pvPfnOf(d, mfn);
        if (pfn >= 0) note(pfn, mfn);
      }
    if (this.map.length < last + 1) this.map = new Int32Array(last + 1);
    this.map.fill(-1);
    for (const [pfn, mfn] of found) this.map[pfn] = mfn;
  }

  /** Guest frame of a machine frame, -1 when it is not the domain's or another frame claims the same number. */
  private readonly toPfn = (mfn: number): number => {
    const pfn = pvPfnOf(this.d, mfn);
    return pfn >= 0 && this.map[pfn] === mfn ? pfn : -1;
  };

  /**
   * Refuses a domain that shares memory with another guest: the other would be left with a page that is nobody's, or this one would
   * arrive without it. Xen cannot move it either. Back ends hold grants as domain 0 and give them back by themselves.
   * @throws BulkheadError
   */
  private refuseShared(): void {
    const { d } = this;
    const refuse = (why: string) => {
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `${d.name} cannot be saved or moved.`,
        why,
        action: 'End what shares memory between these guests, then try again.',
      });
    };
    const nameOf = (domid: number): string => d.host.domain(domid)?.name ?? `domain ${domid}`;
    for (const m of d.grants.mappings.values())
      refuse(`It has memory of ${nameOf(m.domid)} mapped through a grant, which stays on this host.`);
    for (const a of d.grants.active.values())
      if (a.domid !== 0)
        refuse(`${nameOf(a.domid)} has memory of it mapped through a grant, and would keep the old copy.`);
  }

  headerRecords(): LibxcRecord[] {
    const { d } = this;
    this.refuseShared();
    const v = d.vcpus[0]!;
    const leaves = CPUID_LEAVES.map((leaf) => {
      const { eax, ebx, ecx, edx } = guestCpuid(v, leaf, 0);
      const indexed = leaf === 7;
      return { leaf, subleaf: indexed ? 0 : 0xffff_ffff, a: eax, b: ebx, c: ecx, d: edx };
    });
    const out: LibxcRecord[] = [];
    if (d.isPv) out.push({ type: 'X86_PV_INFO', guestWidth: d.is32 ? 4 : 8, ptLevels: d.is32 ? 3 : 4 });
    out.push({ type: 'X86_CPUID_POLICY', leaves }, { type: 'STATIC_DATA_END' });
    if (d.isPv) {
      this.refresh();
      const p2m = findP2m(d, this.toPfn);
      if (typeof p2m === 'string')
        throw new BulkheadError({
          code: 'not-possible-now',
          what: `${d.name} cannot be saved or moved.`,
          why: `Its memory cannot be followed: ${p2m}.`,
          action: 'Wait until its kernel has booted. Loaders such as GRUB cannot be moved at all.',
        });
      out.push({ type: 'X86_PV_P2M_FRAMES', startPfn: 0, endPfn: p2m.maxPfn, frames: p2m.frames });
    }
    return out;
  }

  pfns(): number[] {
    this.refresh();
    const out: number[] = [];
    for (let pfn = 0; pfn < this.map.length; pfn++) if (this.map[pfn]! >= 0) out.push(pfn);
    return out;
  }

  pageRecord(pfns: readonly number[]): PageData {
    if (pfns.length > MAX_BATCH) throw new RangeError(`${pfns.length} pages in one record`);
    const { d } = this;
    const mfns = pfns.map((pfn) => this.current(pfn));
    const types = mfns.map((mfn) => (mfn < 0 ? PageType.Absent : d.isPv ? pvPageType(d, mfn) : PageType.Normal));
    const data = new Uint8Array(types.filter(hasContents).length * PAGE_BYTES);
    const words = new Uint32Array(data.buffer);
    let at = 0;
    mfns.forEach((mfn, i) => {
      if (!hasContents(types[i]!)) return;
      if (types[i] === PageType.Normal) {
        const from = frameAddress(mfn);
        data.set(d.mem.u8.subarray(from, from + PAGE), at);
      } else canonicalise(d, mfn, this.toPfn, words, at >>> 2);
      at += PAGE_BYTES;
    });
    return { type: 'PAGE_DATA', pfns, types, data };
  }

  /** The frame behind a guest frame now: the map may be older than the guest's last change. */
  private current(pfn: number): number {
    const { d } = this;
    if (d.hvm) {
      const mfn = d.hvm.p2m.get(pfn);
      return mfn >= 0 && mfn < d.host.frames.frames && d.host.frames.owner[mfn] === d.domid ? mfn : -1;
    }
    const known = this.map[pfn] ?? -1;
    return isOwn(d, known) && pvPfnOf(d, known) === pfn ? known : -1;
  }

  // ---- suspending

  suspend(done: (refusal: BulkheadError | null) => void, timeoutNs = SUSPEND_TIMEOUT_NS): void {
    const { d, entry } = this;
    const refuse = (why: string, action: string) =>
      new BulkheadError({ code: 'guest-refused', what: `${d.name} did not suspend itself.`, why, action });
    if (d.shutdownReason !== null || d.dying) {
      done(refuse('It has stopped already.', 'Restart it first.'));
      return;
    }
    if (d.pauseCount > 0) {
      done(refuse('It is paused, and only a running guest can suspend itself.', 'Let it run on first.'));
      return;
    }
    let over = false;
    const finish = (refusal: BulkheadError | null) => {
      if (over) return;
      over = true;
      d.host.cancel(timer);
      done(refusal);
    };
    const timer = d.host.schedule(d.host.now() + timeoutNs, () => {
      this.withdraw();
      finish(
        refuse(
          `Its kernel was asked and did nothing for ${timeoutNs / 1e9} seconds.`,
          'Only guests that know how to suspend can be saved, cloned or moved: Linux and Dinghy do, GRUB does not.',
        ),
      );
    });
    entry.suspension = {
      state: 'asked',
      vcpu: 0,
      // From the shutdown call itself: the guest's registers are final only after it.
      stopped: () =>
        d.host.schedule(d.host.now(), () => {
          if (this.suspended && d.isPv && entry.suspension?.vcpu !== 0) {
            this.resumeHere();
            finish(refuse('Its kernel suspended it from another vCPU than the first.', 'Give it one vCPU.'));
          } else if (this.suspended) finish(null);
          else {
            entry.suspension = null;
            finish(refuse('It stopped for another reason meanwhile.', 'Look at its console.'));
          }
        }),
    };
    this.store.set(`${domainPath(d.domid)}/control/shutdown`, 'suspend');
  }

  private withdraw(): void {
    const path = `${domainPath(this.d.domid)}/control/shutdown`;
    if (this.store.get(path) === 'suspend') this.store.set(path, '');
    // A guest that took the request suspends later all the same: then it is sent on at once.
    if (this.entry.suspension)
      this.entry.suspension = {
        state: 'withdrawn',
        vcpu: 0,
        stopped: () =>
          this.d.host.schedule(this.d.host.now(), () => {
            if (this.suspended) this.resumeHere();
          }),
      };
  }

  resumeHere(): void {
    const { d, entry } = this;
    if (!this.suspended) {
      this.withdraw();
      return;
    }
    const v = d.vcpus[entry.suspension?.vcpu ?? 0]!;
    entry.suspension = null;
    // SCHEDOP_shutdown with SHUTDOWN_suspend returns 1 when the domain goes on where it was (xc_domain_resume, "fast").
    v.cpu.setReg(Reg.RAX, 1n);
    d.shutdownReason = null;
    for (const other of d.vcpus) other.wakeIfRunnable();
  }

  // ---- state

  stateRecords(): LibxcRecord[] {
    const { d } = this;
    if (!this.suspended) throw new RangeError(`${d.name} is not suspended`);
    // It may have begun to share while it was being copied.
    this.refuseShared();
    const out: LibxcRecord[] = [
      {
        type: 'X86_TSC_INFO',
        mode: TSC_NEVER_EMULATE,
        khz: d.host.clockMHz * 1000,
        nsec: BigInt(Math.floor(d.host.now())),
        incarnation: 0,
      },
    ];
    if (d.hvm) {
      out.push({ type: 'HVM_CONTEXT', context: saveHvmContext(d) });
      out.push({
        type: 'HVM_PARAMS',
        params: KEPT_PARAMS.filter((p) => d.params[p] !== 0n).map((p) => [p, d.params[p]!] as const),
      });
      return out;
    }
    this.refresh();
    out.push({ type: 'SHARED_INFO', page: d.mem.u8.slice(d.sharedInfo, d.sharedInfo + PAGE) });
    for (const v of d.vcpus) {
      if (!v.initialised) continue;
      out.push({
        type: 'X86_PV_VCPU_BASIC',
        vcpu: v.id,
        context: saveContext(v, this.toPfn, v.id === 0),
      });
      out.push({ type: 'X86_PV_VCPU_EXTENDED', vcpu: v.id, context: saveExtended(v) });
    }
    return out;
  }
}
