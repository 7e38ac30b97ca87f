// Grants as mappings: a domain maps another's page (a backend in a guest), unmaps it, or gives a page of its own away.
// A PV guest's mapping is an L1 entry, which holds references of its own beside those of the grant; an HVM guest's is an entry of
// its second-level table. Source: public/grant_table.h; Xen common/grant_table.c and arch/x86 create_grant_*_mapping, behaviour only.

import { DOMID_SELF, PAGE_SIZE } from '../abi/constants.ts';
import { GrantStatus, type Mapping } from '../grants/grant-table.ts';
import type { NativeStruct } from '../guest-memory.ts';
import { MAX_GFN } from '../hvm/p2m.ts';
import { FrameFlag, FrameType } from '../memory/frame-table.ts';
import { frameAddress } from '../memory/frames.ts';
import { INVALID_M2P } from '../memory/m2p.ts';
import { Pte, pteMfn } from '../memory/pte.ts';
import { findL1Entry } from '../pv/walk.ts';
import { type Call, frameNumber } from './call.ts';

const GNTMAP = { device: 1, host: 2, readonly: 4, application: 8, containsPte: 16 } as const;
const GUEST_AVAIL_SHIFT = 16;

/** struct gnttab_map_grant_ref: host_addr 0, flags 8, ref 12, dom 16; status 18, handle 20, dev_bus_addr 24. */
export function mapGrantRef(c: Call, { view }: NativeStruct): void {
  const answer = (status: number) => view.setInt16(18, status, true);
  const flags = view.getUint32(8, true);
  const ref = view.getUint32(12, true);
  const dom = view.getUint16(16, true);
  const address = view.getBigUint64(0, true);
  if ((flags & (GNTMAP.device | GNTMAP.host)) === 0) return answer(GrantStatus.bad_gntref);
  const owner = c.host.lookup(c.d, dom);
  if (!owner || owner.dying) return answer(GrantStatus.bad_domain);
  const readonly = (flags & GNTMAP.readonly) !== 0;
  const held = owner.grants.acquire(ref, c.d.domid, !readonly);
  if (typeof held === 'number') return answer(held);
  const m: Mapping = {
    domid: owner.domid,
    ref,
    readonly,
    mfn: held.mfn,
    host: (flags & GNTMAP.host) !== 0,
    device: (flags & GNTMAP.device) !== 0,
  };
  const handle = c.d.grants.track(m);
  if (handle < 0) {
    owner.grants.unacquire(ref, !readonly);
    return answer(handle);
  }
  const status = !m.host
    ? GrantStatus.okay
    : c.d.hvm
      ? mapHvm(c, address, flags, m)
      : mapPv(c, address, flags, m, owner.domid);
  if (status !== GrantStatus.okay) {
    c.d.grants.untrack(handle);
    return answer(status);
  }
  view.setUint32(20, handle, true);
  view.setBigUint64(24, BigInt(held.mfn * PAGE_SIZE), true);
  answer(GrantStatus.okay);
}

/** struct gnttab_unmap_grant_ref: host_addr 0, dev_bus_addr 8, handle 16; status 20. An address of 0 leaves that mapping alone. */
export function unmapGrantRef(c: Call, { view }: NativeStruct): void {
  const answer = (status: number) => view.setInt16(20, status, true);
  const handle = view.getUint32(16, true);
  const m = c.d.grants.mappings.get(handle);
  if (!m) return answer(GrantStatus.bad_handle);
  const address = view.getBigUint64(0, true);
  const device = view.getBigUint64(8, true);
  if (device !== 0n && device !== BigInt(m.mfn * PAGE_SIZE)) return answer(GrantStatus.bad_dev_addr);
  if (address !== 0n && m.host) {
    const status = c.d.hvm ? unmapHvm(c, address, m) : unmapPv(c, entryFor(c, address, m), m, 0, 0);
    if (status !== GrantStatus.okay) return answer(status);
    m.host = false;
  }
  if (device !== 0n || address !== 0n) m.device = false;
  if (!m.host && !m.device) c.d.grants.untrack(handle);
  c.host.flushIfNeeded();
  answer(GrantStatus.okay);
}

/** struct gnttab_unmap_and_replace: host_addr 0, new_addr 8, handle 16; status 20. The entry at new_addr moves to host_addr. */
export function unmapAndReplace(c: Call, { view }: NativeStruct): void {
  const answer = (status: number) => view.setInt16(20, status, true);
  const handle = view.getUint32(16, true);
  const m = c.d.grants.mappings.get(handle);
  if (!m?.host) return answer(GrantStatus.bad_handle);
  if (c.d.hvm) return answer(GrantStatus.general_error);
  const from = entryAt(c, view.getBigUint64(8, true));
  const entry = entryFor(c, view.getBigUint64(0, true), m);
  if (from < 0 || entry < 0 || from === entry) return answer(GrantStatus.bad_virt_addr);
  const { mem } = c.d;
  const word = (frameAddress(0) + from) >>> 2;
  // The references of the entry move with it.
  const status = unmapPv(c, entry, m, mem.u32[word], mem.u32[word + 1]);
  if (status !== GrantStatus.okay) return answer(status);
  mem.u32[word] = mem.u32[word + 1] = 0;
  mem.noteWrite(from, 8);
  c.d.grants.untrack(handle);
  c.host.frames.flushNeeded = true;
  c.host.flushIfNeeded();
  answer(GrantStatus.okay);
}

// ---- PV: L1 entries

/** Machine address of an L1 entry of the caller's that maps a linear address; -1 when there is none. */
function entryAt(c: Call, va: bigint): number {
  const entry = findL1Entry(c.v, Number(va & 0xffff_ffffn), Number((va >> 32n) & 0xffff_ffffn));
  return entry >= 0 && isOwnL1(c, entry) ? entry : -1;
}

function isOwnL1(c: Call, entry: number): boolean {
  const { frames } = c.host;
  const table = Math.floor(entry / PAGE_SIZE);
  return (
    frames.valid(table) &&
    frames.owner[table] === c.d.domid &&
    frames.type[table] === FrameType.L1 &&
    frames.typeCount[table] > 0
  );
}

/** The entry that a machine address names. */
function entryByMachineAddress(c: Call, address: bigint): number {
  const frame = frameNumber(address >> 12n);
  const entry = frame < 0 ? -1 : Number(address);
  return entry >= 0 && (entry & 7) === 0 && isOwnL1(c, entry) ? entry : -1;
}

/** The entry of a mapping: the guest names it as it did when it mapped, by linear or by machine address. */
function entryFor(c: Call, address: bigint, m: Mapping): number {
  const maps = (entry: number) => {
    const word = (frameAddress(0) + entry) >>> 2;
    const lo = c.d.mem.u32[word];
    return (lo & Pte.P) !== 0 && pteMfn(lo, c.d.mem.u32[word + 1]) === m.mfn && ((lo & Pte.RW) === 0) === m.readonly;
  };
  const byMachine = m.containsPte ? entryByMachineAddress(c, address) : -1;
  const entry = m.containsPte ? byMachine : entryAt(c, address);
  return entry >= 0 && maps(entry) ? entry : -1;
}

function mapPv(c: Call, address: bigint, flags: number, m: Mapping, owner: number): number {
  m.containsPte = (flags & GNTMAP.containsPte) !== 0;
  const entry = m.containsPte ? entryByMachineAddress(c, address) : entryAt(c, address);
  if (entry < 0) return m.containsPte ? GrantStatus.general_error : GrantStatus.bad_virt_addr;
  const { frames, types } = c.host;
  const refused = m.readonly
    ? !frames.getPage(m.mfn, owner)
    : types.getPageAndType(m.mfn, owner, FrameType.Writable) !== 0;
  if (refused) return GrantStatus.general_error;
  const out = { lo: 0, hi: 0 };
  const user = (flags & GNTMAP.application) !== 0 ? Pte.US : 0;
  const available = ((flags >>> GUEST_AVAIL_SHIFT) & 7) << 9;
  types.adjust(
    1,
    (m.mfn << 12) | Pte.P | Pte.A | Pte.D | (m.readonly ? 0 : Pte.RW) | user | available,
    m.mfn >>> 20,
    c.d,
    out,
  );
  replace(c, entry, out.lo, out.hi);
  return GrantStatus.okay;
}

function unmapPv(c: Call, entry: number, m: Mapping, lo: number, hi: number): number {
  if (entry < 0) return m.containsPte ? GrantStatus.general_error : GrantStatus.bad_virt_addr;
  replace(c, entry, lo, hi);
  return GrantStatus.okay;
}

/** Stores an entry whose references are held, and gives back those of the one that was there. */
function replace(c: Call, entry: number, lo: number, hi: number): void {
  const { mem } = c.d;
  const word = (frameAddress(0) + entry) >>> 2;
  const [oldLo, oldHi] = [mem.u32[word], mem.u32[word + 1]];
  mem.u32[word] = lo;
  mem.u32[word + 1] = hi;
  mem.noteWrite(entry, 8);
  c.host.types.putEntry(1, oldLo, oldHi);
  c.host.frames.flushNeeded = true;
  c.host.flushIfNeeded();
}

// ---- HVM: the second-level table

function mapHvm(c: Call, address: bigint, flags: number, m: Mapping): number {
  const gfn = frameNumber(address >> 12n);
  if (gfn < 0 || gfn >= MAX_GFN || (address & 0xfffn) !== 0n || flags & GNTMAP.containsPte)
    return GrantStatus.general_error;
  const hvm = c.d.hvm!;
  // The guest makes room first (its balloon); a page that is there is not lost for a mapping.
  if (hvm.p2m.get(gfn) >= 0) return GrantStatus.general_error;
  hvm.p2m.set(gfn, m.mfn);
  if (m.readonly) hvm.readOnly.add(gfn);
  return GrantStatus.okay;
}

function unmapHvm(c: Call, address: bigint, m: Mapping): number {
  const gfn = frameNumber(address >> 12n);
  const hvm = c.d.hvm!;
  if (gfn < 0 || hvm.p2m.get(gfn) !== m.mfn || hvm.readOnly.has(gfn) !== m.readonly) return GrantStatus.general_error;
  hvm.p2m.set(gfn, -1);
  hvm.readOnly.delete(gfn);
  c.host.frames.flushNeeded = true;
  return GrantStatus.okay;
}

// ---- transfer

/** struct gnttab_transfer: mfn, domid, ref; status. The page leaves the caller whatever comes of it, but for GNTST_bad_page. */
export function transfer(c: Call, s: NativeStruct): void {
  const { view } = s;
  const long = c.wide ? 8 : 4;
  const answer = (status: number) => view.setInt16(long + 8, status, true);
  const { frames, m2p } = c.host;
  const gfn = frameNumber(s.long(0));
  const mfn = gfn < 0 ? -1 : c.d.gfnToMfn(gfn);
  // Nobody but its owner may hold the page: no mapping, no grant, no type.
  if (
    mfn < 0 ||
    !frames.valid(mfn) ||
    frames.owner[mfn] !== c.d.domid ||
    frames.flags[mfn] & (FrameFlag.XenHeap | FrameFlag.Pinned) ||
    (frames.flags[mfn] & FrameFlag.Allocated) === 0 ||
    frames.refs[mfn] !== 1 ||
    frames.typeCount[mfn] !== 0
  )
    return answer(GrantStatus.bad_page);
  const domid = view.getUint16(long, true);
  const d = domid === DOMID_SELF || domid === c.d.domid ? undefined : c.host.domain(domid);
  if (!d || d.dying || d.isControl) return answer(GrantStatus.bad_domain);
  const status = d.grants.acceptTransfer(view.getUint32(long + 4, true), c.d.domid, mfn, (target) => {
    if (d.totalPages >= d.maxPages || (d.hvm && (target >= MAX_GFN || d.hvm.p2m.get(target) >= 0))) return false;
    if (c.d.hvm) c.d.hvm.p2m.set(gfn, -1);
    frames.type[mfn] = FrameType.None;
    frames.owner[mfn] = d.domid;
    c.d.totalPages--;
    d.totalPages++;
    if (d.hvm) {
      d.hvm.p2m.set(target, mfn);
      m2p.set(mfn, INVALID_M2P);
    } else m2p.set(mfn, target);
    frames.noteMoved(mfn);
    return true;
  });
  if (status !== GrantStatus.okay) {
    if (c.d.hvm) c.d.hvm.p2m.set(gfn, -1);
    else m2p.set(mfn, INVALID_M2P);
    c.d.releasePage(mfn);
  }
  frames.flushNeeded = true;
  c.host.flushIfNeeded();
  answer(status);
}
