// The invariant checker: recomputes from scratch what the frame table says, by walking every page table, descriptor table,
// pin, vCPU, event word and grant. Tests run it after every hypercall; people run it when in doubt.
//
// It knows two kinds of claims. Exact: the type count of each table frame equals the references found. Bounded: a frame's
// general references are at least those found (backends and the hypervisor hold more).

import { frameAddress } from './frames.ts';
import { FrameFlag, FrameType, OWNER_NONE } from './frame-table.ts';
import { levelOf } from './page-types.ts';
import { Pte, pteMfn } from './pte.ts';
import { DOMID_XEN } from '../abi/constants.ts';
import type { Host } from '../host.ts';

const TABLES = new Set<number>([FrameType.L1, FrameType.L2, FrameType.L3, FrameType.L4, FrameType.L2Xen]);

/** Sentences about everything that does not hold; empty when all is well. */
export function checkInvariants(host: Host): string[] {
  const { frames, types, mem } = host;
  const n = frames.frames;
  const problems: string[] = [];
  const say = (mfn: number, text: string) => {
    if (problems.length < 100) problems.push(`frame 0x${mfn.toString(16)}: ${text}`);
  };
  const refs = new Uint32Array(n);
  const typeRefs = new Uint32Array(n);
  const owned = new Map<number, number>();

  for (let mfn = 0; mfn < n; mfn++) {
    const flags = frames.flags[mfn];
    const owner = frames.owner[mfn];
    if ((owner === OWNER_NONE) !== (frames.refs[mfn] === 0))
      say(mfn, `owner ${owner} with ${frames.refs[mfn]} references`);
    if (owner === OWNER_NONE) continue;
    if (frames.typeCount[mfn] > 0 && frames.refs[mfn] === 0) say(mfn, 'a type without a reference');
    // What a dead domain leaves are pages that others still map through its grants, no longer its own.
    if (owner !== DOMID_XEN && !host.domains.has(owner) && flags & FrameFlag.Allocated)
      say(mfn, `owned by domain ${owner}, which does not exist`);
    if (owner !== DOMID_XEN && flags & FrameFlag.Allocated && !(flags & FrameFlag.XenHeap))
      owned.set(owner, (owned.get(owner) ?? 0) + 1);
    if (flags & FrameFlag.Allocated || (owner === DOMID_XEN && !(flags & FrameFlag.Allocated))) refs[mfn]++;
    if (flags & FrameFlag.Pinned) {
      refs[mfn]++;
      typeRefs[mfn]++;
    }
    if (flags & FrameFlag.XenHeap) typeRefs[mfn]++;
    if (frames.typeCount[mfn] > 0 && TABLES.has(frames.type[mfn])) {
      if (!(flags & FrameFlag.Validated)) say(mfn, 'a page table in use that was never validated');
      walkTable(mfn);
    }
  }

  function walkTable(mfn: number): void {
    const type = frames.type[mfn];
    const d = host.domains.get(frames.owner[mfn]);
    if (!d) return;
    const level = levelOf(type);
    const base = frameAddress(mfn) >>> 2;
    for (let i = 0; i < 512; i++) {
      if (!types.guestSlots(type, d, i)) continue;
      const lo = mem.u32[base + 2 * i];
      if ((lo & Pte.P) === 0) continue;
      const target = pteMfn(lo, mem.u32[base + 2 * i + 1]);
      if (!frames.valid(target) || frames.owner[target] === OWNER_NONE) {
        say(mfn, `entry ${i} names frame 0x${target.toString(16)}, which nobody owns`);
        continue;
      }
      refs[target]++;
      if (level > 1) {
        typeRefs[target]++;
        const wanted =
          level === 2
            ? FrameType.L1
            : level === 3
              ? d.is32 && i === 3
                ? FrameType.L2Xen
                : FrameType.L2
              : FrameType.L3;
        if (frames.type[target] !== wanted || frames.typeCount[target] === 0)
          say(mfn, `entry ${i} names frame 0x${target.toString(16)} of type ${frames.type[target]}, not ${wanted}`);
        if (frames.owner[target] !== d.domid) say(mfn, `entry ${i} names a table of domain ${frames.owner[target]}`);
      } else if (lo & Pte.RW) {
        typeRefs[target]++;
        if (frames.type[target] !== FrameType.Writable || frames.typeCount[target] === 0)
          say(mfn, `entry ${i} maps frame 0x${target.toString(16)} writable, whose type is ${frames.type[target]}`);
      }
    }
  }

  for (const d of host.domains.values()) {
    for (const v of d.vcpus) {
      const pv = v.pv;
      if (pv)
        for (const table of [pv.guestTable, pv.guestTableUser, ...pv.gdtFrames])
          if (table >= 0) {
            refs[table]++;
            typeRefs[table]++;
          }
      if (pv && d.pv)
        for (let page = 16; page < 32; page++) {
          const mfn = d.pv.perDomainMfn(v.id, page);
          if (mfn >= 0) {
            refs[mfn]++;
            typeRefs[mfn]++;
          }
        }
      if (v.infoRegistered) {
        refs[v.infoMfn]++;
        typeRefs[v.infoMfn]++;
      }
    }
    d.hvm?.p2m.forEach((gfn, mfn) => {
      if (mfn < n && frames.owner[mfn] === OWNER_NONE)
        say(mfn, `guest frame 0x${gfn.toString(16)} of domain ${d.domid} maps a free frame`);
    });
    const have = owned.get(d.domid) ?? 0;
    if (!d.isControl && have !== d.totalPages)
      problems.push(`domain ${d.domid} owns ${have} pages and its account says ${d.totalPages}`);
  }

  for (let mfn = 0; mfn < n; mfn++) {
    if (frames.owner[mfn] === OWNER_NONE) continue;
    if (frames.refs[mfn] < refs[mfn]) say(mfn, `${frames.refs[mfn]} references counted, ${refs[mfn]} found`);
    const isTable = TABLES.has(frames.type[mfn]) || frames.type[mfn] === FrameType.SegDesc;
    if (isTable && frames.typeCount[mfn] > 0 && frames.typeCount[mfn] !== typeRefs[mfn])
      say(mfn, `type ${frames.type[mfn]} counted ${frames.typeCount[mfn]} times, found ${typeRefs[mfn]}`);
    if (!isTable && frames.typeCount[mfn] < typeRefs[mfn])
      say(mfn, `type count ${frames.typeCount[mfn]}, found ${typeRefs[mfn]}`);
  }
  return problems;
}
