// A domain that comes into being from records (DomainRebuild). Pages are placed as they come; everything that depends on where they
// lie is done at the end: page tables, the guest's list of frames, start_info, vCPUs, rings.
// Source for what a restored guest expects: libxenguest, sr_restore*.c; public/xen.h (start_info, shared_info).

import { BulkheadError } from '../../../shared/errors.ts';
import { F, PAGE } from '../../machine/cpu/layout.ts';
import { LEGACY_MAX_VCPUS } from '../../hypervisor/abi/constants.ts';
import { guestCpuid } from '../../hypervisor/cpuid.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { isLongMode } from '../../hypervisor/hvm/mode.ts';
import { FrameFlag } from '../../hypervisor/memory/frame-table.ts';
import { clearFrame, frameAddress } from '../../hypervisor/memory/frames.ts';
import { updateTimeInfo, updateWallClock } from '../../hypervisor/time/pv-clock.ts';
import type { Rings } from '../builder/domain-image.ts';
import { malformed, unsupported } from '../stream/errors.ts';
import {
  type CpuidLeaf,
  hasContents,
  type LibxcRecord,
  PAGE_BYTES,
  type PageData,
  PageType,
} from '../stream/records.ts';
import type { DomainRebuild, RebuildOptions } from './contract.ts';
import { loadHvmContext } from './hvm-context.ts';
import {
  contextBytes,
  restoreContext,
  restoreExtended,
  setStartInfoFrame,
  startInfoFrame,
  wasOnline,
} from './pv-context.ts';
import { type GuestP2m, listListOffset, rewriteP2m } from './pv-p2m.ts';
import { localise, MAX_PFN } from './pv-pages.ts';

/** What a rebuild asks of the host it happens on. */
export interface RebuildPlace {
  /** An empty, paused domain with its vCPUs and without memory. @throws BulkheadError */
  emptyDomain(options: RebuildOptions): Domain;
  /** Connects console, store and devices, and lets it run. @returns the domid */
  wire(
    domain: Domain,
    options: RebuildOptions,
    bits: 32 | 64,
    rings: (ports: { consolePort: number; storePort: number }) => Rings,
  ): number;
  destroy(domain: Domain): void;
}

const PARAM = { STORE_PFN: 1, STORE_EVTCHN: 2, CONSOLE_PFN: 17, CONSOLE_EVTCHN: 18 } as const;
/** HVM parameters that a stream may set. */
const ACCEPTED_PARAMS = new Set<number>([PARAM.STORE_PFN, PARAM.CONSOLE_PFN, 15]);
const SHARED_INFO = { pending: 2048, vcpuInfo: 64 } as const;

export class HostDomainRebuild implements DomainRebuild {
  readonly domid: number;
  private readonly place: RebuildPlace;
  private readonly options: RebuildOptions;
  private readonly d: Domain;
  /** PV: machine frame and PageType by guest frame. */
  private readonly p2m = new Int32Array(MAX_PFN).fill(-1);
  private readonly types = new Uint8Array(MAX_PFN);
  private guestP2m: GuestP2m | null = null;
  private sharedInfo: Uint8Array | null = null;
  private readonly basic = new Map<number, { context: Uint8Array; index: number }>();
  private readonly extended = new Map<number, { context: Uint8Array; index: number }>();
  private hvmContext: { context: Uint8Array; index: number } | null = null;
  private index = 0;
  private state: 'open' | 'finished' | 'gone' = 'open';
  pages = 0;

  constructor(place: RebuildPlace, options: RebuildOptions) {
    this.place = place;
    this.options = options;
    this.d = place.emptyDomain(options);
    this.domid = this.d.domid;
  }

  record(r: LibxcRecord): void {
    if (this.state !== 'open') throw new RangeError('a record for a rebuild that is over');
    const index = this.index++;
    const { d } = this;
    const pvOnly = () => {
      if (!d.isPv) throw malformed(index, r.type, 'it belongs to PV domains, and this is a PVH domain');
    };
    const hvmOnly = () => {
      if (d.isPv) throw malformed(index, r.type, 'it belongs to HVM domains, and this is a PV domain');
    };
    switch (r.type) {
      case 'PAGE_DATA':
        return this.pageData(r, index);
      case 'X86_PV_INFO':
        pvOnly();
        if ((r.guestWidth === 4) !== d.is32 || (r.ptLevels === 3) !== d.is32)
          throw malformed(index, r.type, `a ${d.is32 ? 32 : 64}-bit guest was announced and it says otherwise`);
        return;
      case 'X86_PV_P2M_FRAMES':
        pvOnly();
        if (r.startPfn !== 0) throw unsupported(index, r.type, 'it begins in the middle of the list of frames');
        if (r.endPfn >= MAX_PFN) throw unsupported(index, r.type, 'the guest has more than 4 GiB of memory');
        if (r.frames.length !== Math.floor(r.endPfn / (PAGE / (d.is32 ? 4 : 8))) + 1)
          throw malformed(index, r.type, `${r.frames.length} frames do not hold a list of ${r.endPfn + 1} entries`);
        this.guestP2m = { maxPfn: r.endPfn, frames: [...r.frames] };
        return;
      case 'X86_PV_VCPU_BASIC':
      case 'X86_PV_VCPU_EXTENDED':
        pvOnly();
        if (!d.vcpus[r.vcpu]) throw malformed(index, r.type, `the domain has no vCPU ${r.vcpu}`);
        if (r.type === 'X86_PV_VCPU_BASIC' && r.context.length !== contextBytes(d.is32))
          throw malformed(index, r.type, `a context has ${contextBytes(d.is32)} bytes and it has ${r.context.length}`);
        (r.type === 'X86_PV_VCPU_BASIC' ? this.basic : this.extended).set(r.vcpu, {
          // changed on the way into the vCPU; the record stays its owner's
          context: r.context.slice(),
          index,
        });
        return;
      case 'X86_PV_VCPU_XSAVE':
        pvOnly();
        if (r.context.length > 16)
          throw unsupported(index, r.type, 'the guest uses XSAVE, which the simulated CPU does not have');
        return;
      case 'SHARED_INFO':
        pvOnly();
        this.sharedInfo = r.page;
        return;
      case 'HVM_CONTEXT':
        hvmOnly();
        this.hvmContext = { context: r.context, index };
        return;
      case 'HVM_PARAMS':
        hvmOnly();
        for (const [param, value] of r.params) if (ACCEPTED_PARAMS.has(param)) d.params[param] = value;
        return;
      case 'X86_CPUID_POLICY':
        return this.checkFeatures(r.leaves, index);
      case 'CHECKPOINT':
        throw unsupported(index, r.type, 'it belongs to a domain that is being replicated');
      case 'VERIFY':
        throw unsupported(index, r.type, 'it asks for memory to be compared, as only tests of Xen do');
      case 'OTHER':
        if (r.number < 0x8000_0000) throw unsupported(index, r.type, 'no domain that runs here needs it');
        return;
      case 'X86_PV_VCPU_MSRS':
      case 'X86_MSR_POLICY':
      case 'X86_TSC_INFO':
      case 'STATIC_DATA_END':
      case 'END':
        // Model-specific registers of PV guests and clocks follow from the host here.
        return;
    }
  }

  /** A guest that found a feature uses it after it has moved: the host must have it too. */
  private checkFeatures(leaves: readonly CpuidLeaf[], index: number): void {
    for (const l of leaves) {
      const words =
        l.leaf === 1 || l.leaf === 0x8000_0001 ? (['c', 'd'] as const) : l.leaf === 7 ? (['b'] as const) : [];
      if (l.leaf === 7 && l.subleaf !== 0) continue;
      const ours = guestCpuid(this.d.vcpus[0]!, l.leaf, 0);
      for (const w of words) {
        const have = w === 'b' ? ours.ebx : w === 'c' ? ours.ecx : ours.edx;
        const missing = (l[w] & ~have) >>> 0;
        if (missing)
          throw unsupported(
            index,
            'X86_CPUID_POLICY',
            `the guest knows CPU features that this host does not have (CPUID leaf 0x${l.leaf.toString(16)}, e${w}x bits 0x${missing.toString(16)})`,
          );
      }
    }
  }

  private readonly toMfn = (pfn: number): number => (pfn >= 0 && pfn < MAX_PFN ? this.p2m[pfn]! : -1);

  private pageData(r: PageData, index: number): void {
    const { d } = this;
    let at = 0;
    r.pfns.forEach((pfn, i) => {
      const type = r.types[i]!;
      if (pfn >= MAX_PFN || (d.hvm && pfn === 0xfee00))
        throw unsupported(index, r.type, `frame 0x${pfn.toString(16)} lies beyond the 4 GiB that guests have here`);
      if (!d.isPv && type !== PageType.Normal && hasContents(type))
        throw malformed(index, r.type, `frame 0x${pfn.toString(16)} of an HVM domain claims to be a page table`);
      if (type === PageType.Absent || type === PageType.Broken) this.drop(pfn);
      else this.place_(pfn, type, index);
      if (!hasContents(type)) return;
      d.mem.copyIn(this.p2m[pfn]! * PAGE, r.data.subarray(at, at + PAGE_BYTES));
      at += PAGE_BYTES;
    });
  }

  private place_(pfn: number, type: number, index: number): void {
    const { d } = this;
    this.types[pfn] = type;
    if (this.p2m[pfn]! >= 0) return;
    const mfn = d.allocatePage();
    if (mfn < 0) {
      if (d.totalPages >= d.maxPages)
        throw malformed(index, 'PAGE_DATA', `the domain may have ${d.maxPages} pages and the stream has more`);
      throw new BulkheadError({
        code: 'not-enough-memory',
        what: 'The host has no room for this domain.',
        why: `After ${this.pages} of its pages the free machine memory was used up.`,
        action: 'Destroy another domain of the host, or choose another host.',
        field: 'host',
      });
    }
    this.p2m[pfn] = mfn;
    this.pages++;
    if (d.hvm) d.hvm.p2m.set(pfn, mfn);
    else d.host.m2p.set(mfn, pfn);
  }

  private drop(pfn: number): void {
    const mfn = this.p2m[pfn]!;
    if (mfn < 0) return;
    const { d } = this;
    this.p2m[pfn] = -1;
    this.types[pfn] = 0;
    this.pages--;
    if (d.hvm) d.hvm.p2m.set(pfn, -1);
    else d.host.m2p.set(mfn, 0xffff_ffff);
    d.releasePage(mfn);
  }

  finish(): number {
    if (this.state !== 'open') throw new RangeError('finish() of a rebuild that is over');
    const { d, options } = this;
    const rings = d.isPv ? this.finishPv() : this.finishHvm();
    const bits: 32 | 64 = d.isPv ? (d.is32 ? 32 : 64) : d.shinfo32 ? 32 : 64;
    const domid = this.place.wire(d, options, bits, rings);
    this.state = 'finished';
    return domid;
  }

  abandon(): void {
    if (this.state === 'gone') return;
    if (this.state === 'finished') throw new RangeError('abandon() after finish()');
    this.state = 'gone';
    this.place.destroy(this.d);
  }

  private need<T>(value: T | null | undefined, name: string): T {
    if (value === null || value === undefined) throw malformed(this.index, name, 'the stream ended without it');
    return value;
  }

  // ---- PV

  private finishPv(): (ports: { consolePort: number; storePort: number }) => Rings {
    const { d } = this;
    const last = this.index - 1;
    const guestP2m = this.need(this.guestP2m, 'X86_PV_P2M_FRAMES');
    const shared = this.need(this.sharedInfo, 'SHARED_INFO');
    const first = this.need(this.basic.get(0), 'X86_PV_VCPU_BASIC');
    for (let pfn = 0; pfn < MAX_PFN; pfn++) {
      const mfn = this.p2m[pfn]!;
      const type = this.types[pfn]! & 7;
      if (mfn < 0 || type === 0 || !hasContents(this.types[pfn]!)) continue;
      const missing = localise(d, mfn, this.toMfn);
      if (missing >= 0)
        throw malformed(
          last,
          'PAGE_DATA',
          `the page table in frame 0x${pfn.toString(16)} names frame 0x${missing.toString(16)}, which is not in the stream`,
        );
    }
    if (!rewriteP2m(d, guestP2m, this.toMfn))
      throw malformed(last, 'X86_PV_P2M_FRAMES', "the guest's list of frames lies in memory that is not in the stream");
    this.loadSharedInfo(shared);
    for (let pfn = 0; pfn < MAX_PFN; pfn++) {
      const type = this.types[pfn]!;
      if (!(type & PageType.Pin) || !hasContents(type) || this.p2m[pfn]! < 0) continue;
      const mfn = this.p2m[pfn]!;
      const error = d.host.types.getPageAndType(mfn, d.domid, type & 7);
      if (error)
        throw malformed(
          last,
          'PAGE_DATA',
          `the hypervisor refuses the page table in frame 0x${pfn.toString(16)} with error ${-error}`,
        );
      d.host.frames.flags[mfn]! |= FrameFlag.Pinned;
    }
    const startInfoPfn = this.startInfo(first.context);
    for (const [id, { context, index }] of this.basic) {
      const problem = restoreContext(d.vcpus[id]!, context, this.toMfn);
      if (problem) throw malformed(index, 'X86_PV_VCPU_BASIC', problem);
      d.vcpus[id]!.cpu.setU32(F.halted, 0);
      d.vcpus[id]!.setUpcallMask(shared[id * SHARED_INFO.vcpuInfo + 1]!);
    }
    for (const [id, { context, index }] of this.extended) {
      const problem = restoreExtended(d.vcpus[id]!, context);
      if (problem) throw malformed(index, 'X86_PV_VCPU_EXTENDED', problem);
    }
    d.host.flushIfNeeded();
    return (ports) => {
      const rings = this.writeStartInfo(startInfoPfn, ports);
      for (const [id, { context }] of this.basic) d.vcpus[id]!.online = wasOnline(context, d.is32);
      return rings;
    };
  }

  /** Machine frame of start_info, put where vCPU 0 expects it. */
  private startInfo(context: Uint8Array): number {
    const { d } = this;
    // libxenguest and every kernel have it so: vCPU 0 suspends the domain, its EDX names the frame.
    const view = new DataView(context.buffer, context.byteOffset, context.length);
    const pfn = startInfoFrame(view, d.is32);
    const mfn = this.toMfn(pfn);
    if (mfn < 0 || this.types[pfn] !== PageType.Normal)
      throw malformed(
        this.index - 1,
        'X86_PV_VCPU_BASIC',
        `start_info lies in frame 0x${pfn.toString(16)}, which is not one`,
      );
    setStartInfoFrame(view, d.is32, mfn);
    return mfn;
  }

  private loadSharedInfo(page: Uint8Array): void {
    const { d } = this;
    const long = d.is32 ? 4 : 8;
    const words = long * 8;
    const copy = page.slice();
    const view = new DataView(copy.buffer);
    const setLong = (at: number) => (d.is32 ? view.setUint32(at, 0, true) : view.setBigUint64(at, 0n, true));
    for (let i = 0; i < LEGACY_MAX_VCPUS; i++) setLong(i * SHARED_INFO.vcpuInfo + long);
    copy.fill(0, SHARED_INFO.pending, SHARED_INFO.pending + words * long);
    copy.fill(0xff, SHARED_INFO.pending + words * long, SHARED_INFO.pending + 2 * words * long);
    setLong(listListOffset(d.is32));
    d.mem.u8.set(copy, d.sharedInfo);
    updateWallClock(d);
    for (const v of d.vcpus) {
      v.timeVersion = d.mem.view.getUint32(v.info + 32, true) & ~1;
      updateTimeInfo(v);
    }
  }

  private writeStartInfo(mfn: number, ports: { consolePort: number; storePort: number }): Rings {
    const { d } = this;
    const { view } = d.mem;
    const base = frameAddress(mfn);
    const o = d.is32
      ? { pages: 32, shared: 36, flags: 40, store: 44, storePort: 48, console: 52, consolePort: 56 }
      : { pages: 32, shared: 40, flags: 48, store: 56, storePort: 64, console: 72, consolePort: 80 };
    const long = (at: number, value: number) =>
      d.is32 ? view.setUint32(base + at, value >>> 0, true) : view.setBigUint64(base + at, BigInt(value), true);
    const lent = (at: number, name: string) => {
      const pfn = view.getUint32(base + at, true);
      const found = this.toMfn(pfn);
      if (found < 0)
        throw malformed(
          this.index - 1,
          'PAGE_DATA',
          `the ${name} ring lies in frame 0x${pfn.toString(16)}, which is not there`,
        );
      return found;
    };
    const storeMfn = lent(o.store, 'xenstore');
    const consoleMfn = lent(o.console, 'console');
    long(o.pages, this.guestP2m!.maxPfn + 1);
    long(o.shared, d.sharedInfoMfn * PAGE);
    view.setUint32(base + o.flags, 0, true);
    long(o.store, storeMfn);
    view.setUint32(base + o.storePort, ports.storePort, true);
    long(o.console, consoleMfn);
    view.setUint32(base + o.consolePort, ports.consolePort, true);
    d.mem.noteWrite(mfn * PAGE, PAGE);
    return { consoleMfn, storeMfn, ...ports };
  }

  // ---- PVH

  private finishHvm(): (ports: { consolePort: number; storePort: number }) => Rings {
    const { d, options } = this;
    const { context, index } = this.need(this.hvmContext, 'HVM_CONTEXT');
    const problem = loadHvmContext(d, context);
    if (problem) throw unsupported(index, 'HVM_CONTEXT', problem);
    d.memoryMap = options.saved.memoryMap.map((m) => ({ ...m }));
    d.shinfo32 = !isLongMode(d.vcpus[0]!);
    updateWallClock(d);
    for (const v of d.vcpus) updateTimeInfo(v);
    const ring = (param: number, name: string) => {
      const mfn = this.toMfn(Number(d.params[param]));
      if (d.params[param] === 0n || mfn < 0)
        throw malformed(this.index - 1, 'HVM_PARAMS', `the ${name} page is not in the stream`);
      // A ring that nobody has used yet, as libxenguest leaves it.
      clearFrame(d.mem, mfn);
      return mfn;
    };
    const storeMfn = ring(PARAM.STORE_PFN, 'xenstore');
    const consoleMfn = ring(PARAM.CONSOLE_PFN, 'console');
    return (ports) => {
      d.params[PARAM.STORE_EVTCHN] = BigInt(ports.storePort);
      d.params[PARAM.CONSOLE_EVTCHN] = BigInt(ports.consolePort);
      return { consoleMfn, storeMfn, ...ports };
    };
  }
}
