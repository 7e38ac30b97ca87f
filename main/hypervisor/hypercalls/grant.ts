// grant_table_op.

import { PAGE } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import { DOMID_SELF } from '../abi/constants.ts';
import type { Domain } from '../domain.ts';
import { type CopyAccess, GrantStatus, MAX_GRANT_FRAMES } from '../grants/grant-table.ts';
import { copyIn, copyOut, copyOutView, NativeStruct, viewIn, writeU32, writeU64 } from '../guest-memory.ts';
import { FrameType } from '../memory/frame-table.ts';
import { type Call, type Result, u32 } from './call.ts';
import { mapGrantRef, transfer, unmapAndReplace, unmapGrantRef } from './grant-map.ts';

const MAX_BATCH = 4096;

/** grant_table_op(command, array, count). */
export function grantTableOp(c: Call): Result {
  const count = u32(c.args[2]);
  const pointer = c.args[1];
  switch (u32(c.args[0])) {
    case 0:
      return batch(c, pointer, count, 32, mapGrantRef);
    case 1:
      return batch(c, pointer, count, 24, unmapGrantRef);
    case 4:
      return batch(c, pointer, count, c.wide ? 24 : 16, transfer);
    case 7:
      return batch(c, pointer, count, 24, unmapAndReplace);
    case 11:
      return batch(c, pointer, count, 12, (_, { view }) =>
        view.setInt16(8, c.d.grants.swap(view.getUint32(0, true), view.getUint32(4, true)), true),
      );
    case 2:
      return count === 1 ? setupTable(c, pointer) : -Errno.EINVAL;
    case 5:
      return batch(c, pointer, count, c.wide ? 40 : 32, copy);
    case 6:
      return count === 1 ? querySize(c, pointer) : -Errno.EINVAL;
    case 8: {
      const view = viewIn(c.v, pointer, 4);
      if (!view) return -Errno.EFAULT;
      const error = c.d.grants.setVersion(view.getUint32(0, true));
      view.setUint32(0, c.d.grants.version, true);
      return copyOutView(c.v, pointer, view) ? error : -Errno.EFAULT;
    }
    case 9:
      return count === 1 ? statusFrames(c, pointer) : -Errno.EINVAL;
    case 10: {
      const view = viewIn(c.v, pointer, 8);
      if (!view) return -Errno.EFAULT;
      const d = c.host.lookup(c.d, view.getUint16(0, true));
      if (d !== c.d) return d ? -Errno.EPERM : -Errno.ESRCH;
      view.setUint32(4, d.grants.version, true);
      return copyOutView(c.v, pointer, view) ? 0 : -Errno.EFAULT;
    }
    default:
      return -Errno.ENOSYS; // dump_table is for a debugging hypervisor, cache_flush for other processors
  }
}

function self(c: Call, domid: number): boolean {
  return domid === DOMID_SELF || domid === c.d.domid;
}

/** dom u16, nr_frames u32, status s16, frame_list handle: 24 or 16 bytes. */
function setupTable(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, c.wide ? 24 : 16);
  if (!view) return -Errno.EFAULT;
  const frames = view.getUint32(4, true);
  const list = new NativeStruct(view, c.wide).long(c.wide ? 16 : 12);
  let status: number = GrantStatus.okay;
  if (!self(c, view.getUint16(0, true))) status = GrantStatus.permission_denied;
  else if (frames > MAX_GRANT_FRAMES || !c.d.grants.grow(Math.max(1, frames))) status = GrantStatus.general_error;
  else
    for (let i = 0; i < frames; i++) {
      const mfn = c.d.hvm ? hvmPlace(c.d, c.d.grants.frames[i]) : c.d.grants.frames[i];
      const ok = c.wide
        ? writeU64(c.v, list + BigInt(i * 8), BigInt.asUintN(64, BigInt(mfn)))
        : writeU32(c.v, list + BigInt(i * 4), mfn);
      if (!ok) return -Errno.EFAULT;
    }
  view.setInt16(8, status, true);
  return copyOutView(c.v, pointer, view) ? 0 : -Errno.EFAULT;
}

/** Guest frame at which an HVM guest has a hypervisor page, or -1. */
function hvmPlace(d: Domain, mfn: number): number {
  let place = -1;
  d.hvm!.p2m.forEach((gfn, m) => {
    if (m === mfn) place = gfn;
  });
  return place;
}

function querySize(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, 16);
  if (!view) return -Errno.EFAULT;
  if (self(c, view.getUint16(0, true))) {
    view.setUint32(4, c.d.grants.frames.length, true);
    view.setUint32(8, MAX_GRANT_FRAMES, true);
    view.setInt16(12, GrantStatus.okay, true);
  } else view.setInt16(12, GrantStatus.permission_denied, true);
  return copyOutView(c.v, pointer, view) ? 0 : -Errno.EFAULT;
}

function statusFrames(c: Call, pointer: bigint): number {
  const view = viewIn(c.v, pointer, c.wide ? 16 : 12);
  if (!view) return -Errno.EFAULT;
  const frames = view.getUint32(0, true);
  const list = new NativeStruct(view, c.wide).long(8);
  let status: number = GrantStatus.okay;
  if (!self(c, view.getUint16(4, true))) status = GrantStatus.permission_denied;
  else if (frames > c.d.grants.statusFrames.length) status = GrantStatus.general_error;
  else
    for (let i = 0; i < frames; i++)
      if (!writeU64(c.v, list + BigInt(i * 8), BigInt(c.d.grants.statusFrames[i]))) return -Errno.EFAULT;
  view.setInt16(6, status, true);
  return copyOutView(c.v, pointer, view) ? 0 : -Errno.EFAULT;
}

/** Runs `one` on every element and writes each back. */
function batch(c: Call, pointer: bigint, count: number, size: number, one: (c: Call, s: NativeStruct) => void): number {
  if (count > MAX_BATCH) return -Errno.EINVAL;
  for (let i = 0; i < count; i++) {
    const at = pointer + BigInt(i * size);
    const bytes = copyIn(c.v, at, size);
    if (!bytes) return -Errno.EFAULT;
    one(c, new NativeStruct(new DataView(bytes.buffer), c.wide));
    if (!copyOut(c.v, at, bytes)) return -Errno.EFAULT;
  }
  return 0;
}

const COPY_SOURCE_GREF = 1;
const COPY_DEST_GREF = 2;

function openEnd(c: Call, domid: number, ref: number, isGrant: boolean, write: boolean): CopyAccess | number {
  if (isGrant) {
    const d = c.host.lookup(c.d, domid);
    return d ? d.grants.acquireForCopy(ref, c.d.domid, write) : GrantStatus.bad_domain;
  }
  if (!self(c, domid)) return GrantStatus.permission_denied;
  const mfn = c.d.gfnToMfn(ref);
  const { types, frames } = c.host;
  if (mfn < 0) return GrantStatus.bad_page;
  if (write) {
    if (types.getPageAndType(mfn, c.d.domid, FrameType.Writable)) return GrantStatus.bad_page;
    return { mfn, from: 0, to: PAGE, release: () => types.putPageAndType(mfn) };
  }
  if (!frames.getPage(mfn, c.d.domid)) return GrantStatus.bad_page;
  return { mfn, from: 0, to: PAGE, release: () => frames.putPage(mfn) };
}

/** struct gnttab_copy: source {ref/gmfn, domid, offset}, dest {same}, len, flags, status. */
function copy(c: Call, s: NativeStruct): void {
  const end = c.wide ? 16 : 8;
  const long = c.wide ? 8 : 4;
  const { view } = s;
  const length = view.getUint16(2 * end, true);
  const flags = view.getUint16(2 * end + 2, true);
  const status = (value: number) => view.setInt16(2 * end + 4, value, true);
  const at = (i: number) => ({
    ref: Number(s.long(i * end) & 0xffff_ffffn),
    domid: view.getUint16(i * end + long, true),
    offset: view.getUint16(i * end + long + 2, true),
  });
  const source = at(0);
  const dest = at(1);
  if (source.offset + length > PAGE || dest.offset + length > PAGE) return status(GrantStatus.bad_copy_arg);
  const from = openEnd(c, source.domid, source.ref, (flags & COPY_SOURCE_GREF) !== 0, false);
  if (typeof from === 'number') return status(from);
  const to = openEnd(c, dest.domid, dest.ref, (flags & COPY_DEST_GREF) !== 0, true);
  if (typeof to === 'number') {
    from.release();
    return status(to);
  }
  const within = (end: CopyAccess, offset: number) => offset >= end.from && offset + length <= end.to;
  const allowed = within(from, source.offset) && within(to, dest.offset);
  if (allowed) c.d.mem.copyIn(to.mfn * PAGE + dest.offset, c.d.mem.copyOut(from.mfn * PAGE + source.offset, length));
  to.release();
  from.release();
  status(allowed ? GrantStatus.okay : GrantStatus.bad_copy_arg);
}
