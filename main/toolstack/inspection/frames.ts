// The pages of a domain: which machine frame each is, what type the hypervisor holds it as, and how often it is referred to.

import type { FrameReport } from '../../../shared/inspection-service.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { FrameFlag, FrameType } from '../../hypervisor/memory/frame-table.ts';

const TYPE_NAMES: Record<number, string> = {
  [FrameType.None]: 'none',
  [FrameType.L1]: 'l1',
  [FrameType.L2]: 'l2',
  [FrameType.L3]: 'l3',
  [FrameType.L4]: 'l4',
  [FrameType.SegDesc]: 'segdesc',
  [FrameType.L2Xen]: 'l2 xen',
  [FrameType.Writable]: 'writable',
};

/** Xen's name of a frame's type as it is now. */
export function typeName(d: Domain, mfn: number): string {
  const f = d.host.frames;
  const name = f.typeCount[mfn] ? TYPE_NAMES[f.type[mfn]!]! : 'none';
  return f.flags[mfn]! & FrameFlag.Pinned
    ? `${name} pinned`
    : f.flags[mfn]! & FrameFlag.XenHeap
      ? `${name} shared`
      : name;
}

/** Machine frame of each page in [first, first + count), -1 where there is none. */
function machineFrames(d: Domain, first: number, count: number): Int32Array {
  const mfns = new Int32Array(count).fill(-1);
  if (d.hvm) {
    for (let n = 0; n < count; n++) mfns[n] = d.hvm.p2m.get(first + n);
    return mfns;
  }
  // A PV guest keeps its own table; what the hypervisor knows is the other way round.
  const { frames, m2p } = d.host;
  for (let mfn = 0; mfn < frames.frames; mfn++) {
    if (frames.owner[mfn] !== d.domid) continue;
    const n = m2p.get(mfn) - first;
    if (n >= 0 && n < count) mfns[n] = mfn;
  }
  return mfns;
}

/** @param pages size of its pseudo-physical space in pages: what lies behind is not reported */
export function domainFrames(d: Domain, pages: number, first: number, count: number): FrameReport[] {
  const shown = Math.max(0, Math.min(count, pages - first));
  const f = d.host.frames;
  return Array.from(machineFrames(d, first, shown), (mfn, n) =>
    mfn < 0 || !f.valid(mfn)
      ? { pfn: first + n, mfn: -1, type: 'absent', references: 0, typeCount: 0 }
      : {
          pfn: first + n,
          mfn,
          type: typeName(d, mfn),
          references: f.refs[mfn]!,
          typeCount: f.typeCount[mfn]!,
        },
  );
}

/** The pages of a bare machine: each is its own frame, and nobody counts references. */
export function bareFrames(pages: number, first: number, count: number): FrameReport[] {
  return Array.from({ length: Math.max(0, Math.min(count, pages - first)) }, (_, n) => ({
    pfn: first + n,
    mfn: first + n,
    type: 'RAM',
    references: 1,
    typeCount: 0,
  }));
}
