// One test for each class of published PV isolation bug, written from the public Xen Security Advisories (xenbits.xen.org/xsa).
// A real guest kernel (Dinghy) provides the address space; the hypercalls are made on its behalf.

import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { Errno } from '../../../main/hypervisor/abi/errno.ts';
import type { Domain } from '../../../main/hypervisor/domain.ts';
import { copyIn, copyOut } from '../../../main/hypervisor/guest-memory.ts';
import { NO_RESULT } from '../../../main/hypervisor/hypercalls/call.ts';
import { checkInvariants } from '../../../main/hypervisor/memory/checker.ts';
import { FrameType } from '../../../main/hypervisor/memory/frame-table.ts';
import { findL1Entry } from '../../../main/hypervisor/pv/walk.ts';
import type { GuestVcpu } from '../../../main/hypervisor/vcpu.ts';
import { XenHost } from '../../../main/toolstack/xen-host.ts';

const kernel = readFileSync(new URL('../../../main/guests/dinghy/images/dinghy-pv64', import.meta.url));
const VIRT_BASE = 0xffff_ffff_8000_0000n;
const HOLE = 0xffff_8200_0000_0000n;
const Call = {
  mmu_update: 1,
  set_gdt: 2,
  update_descriptor: 10,
  memory_op: 12,
  multicall: 13,
  update_va_mapping: 14,
  grant_table_op: 20,
  vcpu_op: 24,
  mmuext_op: 26,
  event_channel_op: 32,
};
const SELF = 0x7ff0n;

let xen: XenHost;
let d: Domain;
let v: GuestVcpu;
/** A free page of the guest that its kernel maps writable: its address and frame. */
let page: bigint;
let pageMfn: number;

const call = (number: number, ...args: bigint[]) =>
  xen.host.hypercalls.call(v, number, [...args, 0n, 0n, 0n, 0n, 0n].slice(0, 6), true);
const put = (...words: bigint[]) =>
  expect(copyOut(v, page, new Uint8Array(BigUint64Array.from(words, (w) => BigInt.asUintN(64, w)).buffer))).toBe(true);
const mmuUpdate = (machine: bigint, value: bigint) => {
  put(machine, value);
  return call(Call.mmu_update, page, 1n, 0n, SELF);
};
const mmuext = (command: number, arg1: bigint, arg2 = 0n) => {
  put(BigInt(command), arg1, arg2);
  return call(Call.mmuext_op, page, 1n, 0n, SELF);
};
const maddr = (mfn: number, offset = 0) => BigInt(mfn) * 4096n + BigInt(offset);
const fresh = () => {
  d.maxPages++;
  return d.allocatePage();
};

beforeEach(() => {
  xen = new XenHost({ name: 'test', pcpus: 1, memoryMiB: 32, clockMHz: 1000 }, 1, {
    console: () => {},
    stateChanged: () => {},
  });
  const domid = xen.createDomain(
    {
      name: 'guest',
      mode: 'pv',
      kernel: 'dinghy',
      cmdline: '',
      memoryMiB: 8,
      vcpus: 1,
      disks: [],
      nics: [],
      weight: 256,
      cap: 0,
    },
    { kernel, disks: [] },
  );
  xen.advance(30_000_000);
  d = xen.host.domain(domid)!;
  v = d.vcpus[0];
  xen.host.core.select(v.machine);
  xen.host.loaded = v;
  page = VIRT_BASE + BigInt(8 * 256 - 8) * 4096n;
  pageMfn = findL1Entry(v, Number(page & 0xffff_ffffn), Number(page >> 32n)) >>> 12;
  const entry = copyIn(v, page, 8);
  expect(entry).not.toBeNull();
});

describe('page tables', () => {
  it('XSA-148: an L2 entry cannot become a superpage, not even by changing flags only', () => {
    const [l1, l2] = [fresh(), fresh()];
    expect(mmuUpdate(maddr(l2), maddr(l1) | 7n)).toBe(0);
    expect(mmuext(1, BigInt(l2))).toBe(0);
    expect(mmuUpdate(maddr(l2), maddr(l1) | 0x87n)).toBe(-Errno.EINVAL);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('XSA-182: a top-level table cannot map itself, nor gain write access to a table by a flags-only update', () => {
    const root = v.pv!.guestTable;
    expect(mmuUpdate(maddr(root, 8 * 100), maddr(root) | 1n)).toBe(-Errno.EINVAL);
    expect(mmuUpdate(maddr(root, 8 * 100), maddr(root) | 3n)).toBe(-Errno.EINVAL);
    const l1 = fresh();
    const table = fresh();
    expect(mmuUpdate(maddr(l1), maddr(table) | 1n)).toBe(0);
    expect(mmuext(0, BigInt(l1))).toBe(0);
    expect(mmuext(0, BigInt(table))).toBe(0);
    expect(mmuUpdate(maddr(l1), maddr(table) | 3n)).toBe(-Errno.EBUSY);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it("the hypervisor's slots stay its own", () => {
    const root = v.pv!.guestTable;
    for (const slot of [256, 260, 271]) expect(mmuUpdate(maddr(root, slot * 8), 0n)).toBe(-Errno.EPERM);
    expect(mmuUpdate(maddr(root, 272 * 8), 0n)).toBe(0);
  });

  it('frames of the hypervisor and of nobody cannot be mapped, however the number wraps', () => {
    const l1 = fresh();
    expect(mmuext(0, BigInt(l1))).toBe(0);
    for (const bad of [0n, 512n, 513n, 0xfffffn, 0x100000n, 0xf_ffff_ffffn, 1n << 40n])
      expect(mmuUpdate(maddr(l1), ((bad << 12n) & 0x7fff_ffff_ffff_f000n) | 3n), bad.toString(16)).toBeLessThan(0);
    expect(mmuUpdate(maddr(xen.host.frames.frames + 5), 0n)).toBe(-Errno.EINVAL);
    expect(mmuUpdate(maddr(600), 0n)).toBe(-Errno.EINVAL);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('stale type counts: a page pinned, unpinned and pinned as another level ends with the counts it began with', () => {
    const mfn = fresh();
    for (let round = 0; round < 3; round++)
      for (const level of [0, 1, 2, 3]) {
        expect(mmuext(level, BigInt(mfn))).toBe(0);
        expect(mmuext(level, BigInt(mfn))).toBe(-Errno.EINVAL);
        expect(mmuext(4, BigInt(mfn))).toBe(0);
        expect(mmuext(4, BigInt(mfn))).toBe(-Errno.EINVAL);
      }
    expect([xen.host.frames.refs[mfn], xen.host.frames.typeCount[mfn]]).toEqual([1, 0]);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('a page that is given back while it is a page table stays one until it is let go', () => {
    const [l1, data] = [fresh(), fresh()];
    expect(mmuUpdate(maddr(l1), maddr(data) | 3n)).toBe(0);
    expect(mmuext(0, BigInt(l1))).toBe(0);
    put(page + 64n, 1n, 0n, SELF, 0n, 0n, 0n, 0n, BigInt(data));
    expect(call(Call.memory_op, 1n, page)).toBe(1);
    expect(xen.host.frames.owner[data]).toBe(d.domid);
    expect(mmuUpdate(maddr(l1), 0n)).toBe(0);
    expect(xen.host.frames.owner[data]).not.toBe(d.domid);
    expect(checkInvariants(xen.host)).toEqual([]);
  });
});

describe('pointers', () => {
  it("XSA-212: results of memory_op are never written into the hypervisor's hole", () => {
    // XENMEM_exchange: in {list, 1 extent, order 0}, out {list in the hole}.
    put(page + 256n, 1n, 0n, SELF, HOLE, 1n, 0n, SELF, 0n);
    const before = xen.host.mem.copyOut(0, 4096);
    expect(call(Call.memory_op, 11n, page)).toBeLessThan(0);
    expect(call(Call.memory_op, 12n, HOLE)).toBe(-Errno.EFAULT);
    expect(xen.host.mem.copyOut(0, 4096)).toEqual(before);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('every call that takes a pointer refuses the hole, its edges and addresses that wrap', () => {
    for (const bad of [
      HOLE,
      0xffff_87ff_ffff_fff8n,
      0xffff_8000_0000_0000n,
      0xffff_7fff_ffff_fffcn,
      0xffff_ffff_ffff_fffcn,
    ]) {
      expect(copyIn(v, bad, 16), bad.toString(16)).toBeNull();
      expect(copyOut(v, bad, new Uint8Array(16)), bad.toString(16)).toBe(false);
      expect(call(Call.mmu_update, bad, 1n, 0n, SELF)).toBe(-Errno.EFAULT);
      expect(call(Call.event_channel_op, 6n, bad)).toBe(-Errno.EFAULT);
    }
  });

  it('XSA-213: a multicall that contains iret ends there', () => {
    put(23n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 17n, 0n, 0n, 0n, 0n, 0n, 0n, 0n);
    const result = call(Call.multicall, page, 2n);
    expect(result === NO_RESULT || (typeof result === 'number' && result <= 0)).toBe(true);
    expect(copyIn(v, page + 72n, 8)).toEqual(new Uint8Array(8));
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('counts that wrap an extent are refused', () => {
    put(page + 256n, 0xffff_ffff_ffffn, 0n, SELF);
    expect(call(Call.memory_op, 6n, page)).toBe(-Errno.EINVAL);
    put(page + 256n, 1n, 63n, SELF);
    expect(call(Call.memory_op, 6n, page)).toBe(-Errno.EPERM);
    expect(call(Call.mmu_update, page, 0x7fff_ffffn, 0n, SELF)).toBe(-Errno.EINVAL);
  });
});

describe('descriptors', () => {
  it('a GDT page is not writable, and its descriptors are never more privileged than the guest', () => {
    const gdt = fresh();
    expect(mmuUpdate(maddr(gdt, 8), 0x00cf_9200_0000_ffffn)).toBe(0); // ring 0 data
    put(BigInt(gdt));
    expect(call(Call.set_gdt, page, 512n)).toBe(0);
    expect((xen.host.mem.read32(gdt * 4096 + 12) >>> 13) & 3).toBe(3);
    expect(mmuUpdate(maddr(gdt, 8), 0n)).toBe(-Errno.EBUSY);
    expect(call(Call.update_descriptor, maddr(gdt, 8), 0x0000_8c00_0000_0000n)).toBe(-Errno.EINVAL); // call gate
    expect(call(Call.update_descriptor, maddr(gdt, 8), 0x00cf_9200_0000_ffffn)).toBe(0);
    expect((xen.host.mem.read32(gdt * 4096 + 12) >>> 13) & 3).toBe(3);
    expect(call(Call.set_gdt, page, 7169n)).toBe(-Errno.EINVAL);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('a page in use as a page table is no descriptor page', () => {
    put(BigInt(v.pv!.guestTable));
    expect(call(Call.set_gdt, page, 512n)).toBe(-Errno.EINVAL);
  });
});

describe('shared pages', () => {
  it('shared_info and grant frames never change their type', () => {
    put(SELF | (1n << 32n), 0n, page + 512n);
    expect(call(Call.grant_table_op, 2n, page, 1n)).toBe(0);
    for (const mfn of [d.sharedInfoMfn, d.grants.frames[0]]) {
      expect(mmuext(0, BigInt(mfn))).not.toBe(0);
      expect(xen.host.frames.type[mfn]).toBe(FrameType.Writable);
    }
  });

  it('vcpu_info moves once, and only to a page of the guest', () => {
    put(BigInt(xen.host.frames.frames + 1), 0n);
    expect(call(Call.vcpu_op, 10n, 0n, page)).toBe(-Errno.EINVAL);
    put(512n, 0n);
    expect(call(Call.vcpu_op, 10n, 0n, page)).toBe(-Errno.EINVAL);
    put(BigInt(v.pv!.guestTable), 0n);
    expect(call(Call.vcpu_op, 10n, 0n, page)).toBe(-Errno.EINVAL);
    expect(pageMfn).toBeGreaterThan(0);
  });
});

describe('time', () => {
  it('goes on for a guest that only faults: a handler that faults at once ends the guest or its slice, never the host', () => {
    const nowhere = 0x10_0000_0000n;
    v.pv!.trapAddress[14] = nowhere;
    v.cpu.rip = nowhere;
    const before = d.counters.pageFaults;
    v.unblock();
    const neighbour = xen.createDomain(
      {
        name: 'neighbour',
        mode: 'pv',
        kernel: 'dinghy',
        cmdline: '',
        memoryMiB: 8,
        vcpus: 1,
        disks: [],
        nics: [],
        weight: 256,
        cap: 0,
      },
      { kernel, disks: [] },
    );
    const until = xen.host.now() + 60_000_000;
    expect(xen.advance(until).now).toBe(until);
    expect(d.counters.pageFaults - before).toBeGreaterThan(10);
    // Its stack ran out under the frames that were pushed; the neighbour came up meanwhile.
    expect(d.crashReason).toMatch(/stack|frame|fault/);
    expect(xen.domainStatus(neighbour).consoleBytes).toBeGreaterThan(100);
    expect(checkInvariants(xen.host)).toEqual([]);
  });
});
