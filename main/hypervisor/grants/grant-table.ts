// One domain's grant table: the frames it shares, the entries others use now, and the grants it has mapped itself.
// Source: public/grant_table.h; Xen common/grant_table.c for the order of checks.

import { PAGE } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import type { Domain } from '../domain.ts';
import { FrameType } from '../memory/frame-table.ts';
import { traceName } from '../trace.ts';
import { clearFrame, frameAddress } from '../memory/frames.ts';

export const GrantStatus = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  bad_dev_addr: -6,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  eagain: -12,
  no_space: -13,
} as const;

const GTF = {
  type: 3,
  permit_access: 1,
  accept_transfer: 2,
  transitive: 3,
  readonly: 4,
  reading: 8,
  writing: 16,
  sub_page: 256,
  transfer_committed: 4,
  transfer_completed: 8,
} as const;
const TRACE = {
  take: traceName('grant', 'take', ['ref', 'by', 'write']),
  giveBack: traceName('grant', 'give back', ['ref', 'write']),
} as const;
export const MAX_GRANT_FRAMES = 64;
/** Most grants of others that a domain may have mapped at once. */
export const MAX_MAPPINGS = 16384;
const V1_PER_FRAME = PAGE / 8;
const V2_PER_FRAME = PAGE / 16;
const STATUS_PER_FRAME = PAGE / 2;

/** An entry in use: how many readers and writers hold it, and the frame. */
export interface ActiveEntry {
  readers: number;
  writers: number;
  domid: number;
  mfn: number;
}

/** A grant this domain has mapped. */
export interface Mapping {
  domid: number;
  ref: number;
  readonly: boolean;
  mfn: number;
  /** Mapped into the domain's own address space (GNTMAP_host_map), for a device (GNTMAP_device_map), or both. */
  host: boolean;
  device: boolean;
  /** PV: the entry was named by its machine address, and will be again. */
  containsPte?: boolean;
}

/** One end of a copy through a grant, held until released. */
export interface CopyAccess {
  readonly mfn: number;
  /** First and last+1 byte that the grant allows. */
  readonly from: number;
  readonly to: number;
  release(): void;
}

/** What a backend holds while it uses a granted page. */
export interface GrantAccess {
  readonly mfn: number;
  /** The page's bytes in host memory. */
  readonly bytes: Uint8Array;
  /** First and last+1 byte that a sub-page grant allows. */
  readonly from: number;
  readonly to: number;
}

export class GrantTable {
  private readonly d: Domain;
  version = 1;
  readonly frames: number[] = [];
  readonly statusFrames: number[] = [];
  readonly active = new Map<number, ActiveEntry>();
  readonly mappings = new Map<number, Mapping>();
  private nextHandle = 0;
  private readonly freeHandles: number[] = [];

  constructor(d: Domain) {
    this.d = d;
  }

  get entries(): number {
    return this.frames.length * (this.version === 1 ? V1_PER_FRAME : V2_PER_FRAME);
  }

  /** Makes at least `frames` shared frames exist; false when it may not. */
  grow(frames: number): boolean {
    if (frames > MAX_GRANT_FRAMES) return false;
    while (this.frames.length < frames) {
      const mfn = this.d.host.frames.allocateShared(this.d.domid);
      if (mfn < 0) return false;
      this.frames.push(mfn);
      if (this.version === 2 && !this.growStatus()) return false;
    }
    return true;
  }

  private growStatus(): boolean {
    const needed = Math.ceil((this.frames.length * V2_PER_FRAME) / STATUS_PER_FRAME);
    while (this.statusFrames.length < needed) {
      const mfn = this.d.host.frames.allocateShared(this.d.domid);
      if (mfn < 0) return false;
      this.statusFrames.push(mfn);
    }
    return true;
  }

  /** GNTTABOP_set_version. */
  setVersion(version: number): number {
    if (version !== 1 && version !== 2) return -Errno.EINVAL;
    if (version === this.version) return 0;
    if (this.active.size) return -Errno.EBUSY;
    if (this.frames.length === 0 && !this.grow(1)) return -Errno.ENOMEM;
    // The reserved entries (console and xenstore) survive the change of format.
    const kept: { flags: number; domid: number; frame: number }[] = [];
    for (let ref = 0; ref < 8; ref++) {
      const at = this.entry(ref);
      const view = this.d.mem.view;
      kept.push({
        flags: view.getUint16(at, true),
        domid: view.getUint16(at + 2, true),
        frame: this.version === 1 ? view.getUint32(at + 4, true) : Number(view.getBigUint64(at + 8, true)),
      });
    }
    this.version = version;
    for (const mfn of this.frames) clearFrame(this.d.mem, mfn);
    if (version === 2 && !this.growStatus()) return -Errno.ENOMEM;
    for (let ref = 0; ref < 8; ref++)
      this.write(ref, kept[ref].flags & ~(GTF.reading | GTF.writing), kept[ref].domid, kept[ref].frame);
    return 0;
  }

  /** Byte address in host memory of an entry. */
  private entry(ref: number): number {
    const per = this.version === 1 ? V1_PER_FRAME : V2_PER_FRAME;
    return frameAddress(this.frames[Math.floor(ref / per)]) + (ref % per) * (this.version === 1 ? 8 : 16);
  }

  /** Writes an entry on the guest's behalf: the builder seeds those of console and xenstore. `frame` is a gfn. */
  write(ref: number, flags: number, domid: number, frame: number): void {
    if (this.frames.length === 0) this.grow(1);
    const view = this.d.mem.view;
    const at = this.entry(ref);
    view.setUint16(at + 2, domid, true);
    if (this.version === 1) view.setUint32(at + 4, frame, true);
    else view.setBigUint64(at + 8, BigInt(frame), true);
    view.setUint16(at, flags, true);
  }

  /** Lets `domid` use frame `gfn` through `ref`. */
  permit(ref: number, domid: number, gfn: number): void {
    this.write(ref, GTF.permit_access, domid, gfn);
  }

  /**
   * Takes an entry on behalf of `domid`.
   * @param partly true when a grant of part of a page will do
   * @returns the active entry, or a negative GNTST status
   */
  acquire(ref: number, domid: number, write: boolean, partly = false): ActiveEntry | number {
    const { trace } = this.d.host;
    if (trace.recording) trace.add(TRACE.take, this.d.domid, 0, ref, domid, write ? 1 : 0);
    if (ref >= this.entries) return GrantStatus.bad_gntref;
    const view = this.d.mem.view;
    const at = this.entry(ref);
    const flags = view.getUint16(at, true);
    if ((flags & GTF.type) !== GTF.permit_access) return GrantStatus.general_error;
    // Part of a page can be copied, but not mapped.
    if (!partly && this.version === 2 && flags & GTF.sub_page) return GrantStatus.general_error;
    if (view.getUint16(at + 2, true) !== domid) return GrantStatus.general_error;
    if (write && flags & GTF.readonly) return GrantStatus.general_error;
    let a = this.active.get(ref);
    // While it is in use, an entry stands for the domain and frame it stood for first.
    if (a && a.domid !== domid) return GrantStatus.general_error;
    if (!a) {
      const gfn =
        this.version === 1 ? view.getUint32(at + 4, true) : Number(view.getBigUint64(at + 8, true) & 0xffff_ffffn);
      const mfn = this.d.gfnToMfn(gfn);
      if (mfn < 0 || this.d.host.frames.owner[mfn] !== this.d.domid) return GrantStatus.bad_page;
      a = { readers: 0, writers: 0, domid, mfn };
    }
    const { frames, types } = this.d.host;
    if (write) {
      if (types.getPageAndType(a.mfn, this.d.domid, FrameType.Writable)) return GrantStatus.bad_page;
      a.writers++;
    } else {
      if (!frames.getPage(a.mfn, this.d.domid)) return GrantStatus.bad_page;
      a.readers++;
    }
    this.active.set(ref, a);
    this.setBits(ref, write ? GTF.reading | GTF.writing : GTF.reading);
    return a;
  }

  /** Gives back what acquire took. */
  unacquire(ref: number, write: boolean): void {
    const a = this.active.get(ref);
    if (!a) return;
    const { trace } = this.d.host;
    if (trace.recording) trace.add(TRACE.giveBack, this.d.domid, 0, ref, write ? 1 : 0);
    if (write) {
      this.d.host.types.putPageAndType(a.mfn);
      a.writers--;
    } else {
      this.d.host.frames.putPage(a.mfn);
      a.readers--;
    }
    if (a.writers === 0) this.clearBits(ref, GTF.writing);
    if (a.readers === 0 && a.writers === 0) {
      this.clearBits(ref, GTF.reading);
      this.active.delete(ref);
    }
  }

  /**
   * Takes an entry for a copy: of a whole page, of part of one, or of what another domain granted to this one (version 2 only,
   * one step; Xen: acquire_grant_for_copy).
   * @returns the access, or a negative GNTST status
   */
  acquireForCopy(ref: number, domid: number, write: boolean, transitive = true): CopyAccess | number {
    if (ref >= this.entries) return GrantStatus.bad_gntref;
    const view = this.d.mem.view;
    const at = this.entry(ref);
    const flags = view.getUint16(at, true);
    if (this.version === 2 && (flags & GTF.type) === GTF.transitive) {
      if (!transitive || view.getUint16(at + 2, true) !== domid || (write && flags & GTF.readonly))
        return GrantStatus.general_error;
      const next = view.getUint16(at + 4, true);
      const other = next === this.d.domid ? undefined : this.d.host.domain(next);
      if (!other || other.dying) return GrantStatus.general_error;
      return other.grants.acquireForCopy(view.getUint32(at + 8, true), this.d.domid, write, false);
    }
    const a = this.acquire(ref, domid, write, true);
    if (typeof a === 'number') return a;
    let from = 0;
    let to = PAGE;
    if (this.version === 2 && flags & GTF.sub_page) {
      from = view.getUint16(at + 4, true);
      to = Math.min(PAGE, from + view.getUint16(at + 6, true));
    }
    return { mfn: a.mfn, from, to, release: () => this.unacquire(ref, write) };
  }

  /**
   * Takes a page that `domid` gives away, if the entry says so (GTF_accept_transfer).
   * @param take moves the page's ownership; the guest frame it shall get is its argument; false when that is not possible
   * @returns a GNTST status
   */
  acceptTransfer(ref: number, domid: number, mfn: number, take: (gfn: number) => boolean): number {
    if (ref >= this.entries) return GrantStatus.bad_gntref;
    const view = this.d.mem.view;
    const at = this.entry(ref);
    const flags = view.getUint16(at, true);
    if ((flags & ~GTF.transfer_committed) !== GTF.accept_transfer || view.getUint16(at + 2, true) !== domid)
      return GrantStatus.general_error;
    if (flags & GTF.transfer_committed) return GrantStatus.general_error;
    const gfn =
      this.version === 1 ? view.getUint32(at + 4, true) : Number(view.getBigUint64(at + 8, true) & 0xffff_ffffn);
    view.setUint16(at, flags | GTF.transfer_committed, true);
    const taken = take(gfn);
    if (taken && !this.d.hvm) {
      if (this.version === 1) view.setUint32(at + 4, mfn, true);
      else view.setBigUint64(at + 8, BigInt(mfn), true);
    }
    view.setUint16(at, taken ? flags | GTF.transfer_committed | GTF.transfer_completed : flags, true);
    return taken ? GrantStatus.okay : GrantStatus.general_error;
  }

  /** GNTTABOP_swap_grant_ref: two entries change places, while neither is in use. @returns a GNTST status */
  swap(a: number, b: number): number {
    if (a >= this.entries || b >= this.entries) return GrantStatus.bad_gntref;
    if (this.active.has(a) || this.active.has(b)) return GrantStatus.eagain;
    const bytes = this.version === 1 ? 8 : 16;
    const { mem } = this.d;
    const [first, second] = [this.entry(a), this.entry(b)];
    const kept = mem.u8.slice(first, first + bytes);
    mem.u8.copyWithin(first, second, second + bytes);
    mem.u8.set(kept, second);
    return GrantStatus.okay;
  }

  private setBits(ref: number, bits: number): void {
    const view = this.d.mem.view;
    const at = this.version === 1 ? this.entry(ref) : this.status(ref);
    view.setUint16(at, view.getUint16(at, true) | bits, true);
  }
  private clearBits(ref: number, bits: number): void {
    const view = this.d.mem.view;
    const at = this.version === 1 ? this.entry(ref) : this.status(ref);
    view.setUint16(at, view.getUint16(at, true) & ~bits, true);
  }
  private status(ref: number): number {
    return frameAddress(this.statusFrames[Math.floor(ref / STATUS_PER_FRAME)]) + (ref % STATUS_PER_FRAME) * 2;
  }

  /** A backend's access to a granted page, or a negative GNTST status. Close it when done. */
  open(ref: number, write: boolean): GrantAccess | number {
    const a = this.acquire(ref, 0, write);
    if (typeof a === 'number') return a;
    return { mfn: a.mfn, bytes: this.d.mem.frame(a.mfn), from: 0, to: PAGE };
  }

  close(ref: number, write: boolean): void {
    const a = this.active.get(ref);
    // What a backend wrote went past the CPU's stores.
    if (a && write) this.d.mem.noteWrite(a.mfn * PAGE, PAGE);
    this.unacquire(ref, write);
  }

  /** Remembers a mapping; returns its handle, or GNTST_no_space when the domain has too many. */
  track(m: Mapping): number {
    if (this.mappings.size >= MAX_MAPPINGS) return GrantStatus.no_space;
    const handle = this.freeHandles.pop() ?? this.nextHandle++;
    this.mappings.set(handle, m);
    return handle;
  }

  /** Ends a mapping: what it held of the other domain's page goes back. Page-table entries are the caller's. */
  untrack(handle: number): void {
    const m = this.mappings.get(handle);
    if (!m) return;
    this.mappings.delete(handle);
    this.freeHandles.push(handle);
    const owner = this.d.host.domain(m.domid);
    if (owner) owner.grants.unacquire(m.ref, !m.readonly);
    // The other domain is gone and left its page to those who still hold it.
    else if (m.readonly) this.d.host.frames.putPage(m.mfn);
    else this.d.host.types.putPageAndType(m.mfn);
  }

  /** The domain dies: what it mapped of others goes back, its own frames are released with all its memory. */
  release(): void {
    // A PV mapping's page-table entry holds a reference of its own, which goes with the page table.
    for (const handle of [...this.mappings.keys()]) this.untrack(handle);
    this.frames.length = 0;
    this.statusFrames.length = 0;
  }
}
