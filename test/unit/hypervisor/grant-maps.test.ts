// What a backend in a guest needs: mapping, unmapping and copying through another domain's grants, and pages given away.
// Real guest kernels (Dinghy) provide the address spaces; the hypercalls are made on their behalf.

import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Domain } from '../../../main/hypervisor/domain.ts';
import { GrantStatus, MAX_MAPPINGS } from '../../../main/hypervisor/grants/grant-table.ts';
import { copyIn, copyOut } from '../../../main/hypervisor/guest-memory.ts';
import { checkInvariants } from '../../../main/hypervisor/memory/checker.ts';
import { FrameType } from '../../../main/hypervisor/memory/frame-table.ts';
import { findL1Entry } from '../../../main/hypervisor/pv/walk.ts';
import { XenHost } from '../../../main/toolstack/xen-host.ts';

const image = (name: string) => readFileSync(new URL(`../../../main/guests/dinghy/images/${name}`, import.meta.url));
const KERNELS = { pv: image('dinghy-pv64'), pvh: image('dinghy-hw64') };
const VIRT_BASE = 0xffff_ffff_8000_0000n;
const GRANT_TABLE_OP = 20n;
const Op = { map: 0n, unmap: 1n, transfer: 4n, copy: 5n, unmapAndReplace: 7n, setVersion: 8n, swap: 11n };
const Flag = { device: 1, host: 2, readonly: 4, containsPte: 16 };
const MEMORY_MIB = 8;

let xen: XenHost;

/** A guest, and pages of it that its kernel uses for nothing. */
class Guest {
  readonly d: Domain;

  constructor(mode: 'pv' | 'pvh') {
    const name = `guest${xen.domains().length}`;
    const shape = { vcpus: 1, disks: [], nics: [], weight: 256, cap: 0, memoryMiB: MEMORY_MIB };
    const domid = xen.createDomain(
      { name, mode, kernel: 'dinghy', cmdline: '', ...shape },
      { kernel: KERNELS[mode], disks: [] },
    );
    xen.advance(xen.host.now() + 30_000_000);
    this.d = xen.host.domain(domid)!;
  }

  get vcpu() {
    const v = this.d.vcpus[0];
    xen.host.core.select(v.machine);
    xen.host.loaded = v;
    return v;
  }
  /** Linear address of a spare page. */
  address(n: number): bigint {
    return VIRT_BASE + BigInt(this.gfn(n)) * 4096n;
  }
  /** Its pseudo-physical frame number. */
  gfn(n: number): number {
    return MEMORY_MIB * 256 - 8 + n;
  }
  entry(n: number): number {
    const at = this.address(n);
    return findL1Entry(this.vcpu, Number(at & 0xffff_ffffn), Number(at >> 32n));
  }
  mfn(n: number): number {
    return this.d.hvm ? this.d.hvm.p2m.get(this.gfn(n)) : this.d.mem.read32(this.entry(n)) >>> 12;
  }
  /** What grants and hypercalls call a page: a guest frame, which for PV is a machine frame. */
  frame(n: number): number {
    return this.d.hvm ? this.gfn(n) : this.mfn(n);
  }
  hypercall(number: bigint, ...args: bigint[]): number | bigint {
    const v = this.vcpu;
    const result = xen.host.hypercalls.call(v, Number(number), [...args, 0n, 0n, 0n, 0n].slice(0, 6), true);
    xen.host.flushIfNeeded();
    return result as number | bigint;
  }
  /** One grant-table operation on a structure that lies in spare page 7. */
  grant(op: bigint, view: DataView): void {
    const at = this.address(7);
    expect(copyOut(this.vcpu, at, new Uint8Array(view.buffer))).toBe(true);
    expect(Number(this.hypercall(GRANT_TABLE_OP, op, at, 1n))).toBe(0);
    new Uint8Array(view.buffer).set(copyIn(this.vcpu, at, view.byteLength)!);
  }
  map(address: bigint, flags: number, ref: number, dom: number): { status: number; handle: number; bus: bigint } {
    const view = new DataView(new ArrayBuffer(32));
    view.setBigUint64(0, address, true);
    view.setUint32(8, flags, true);
    view.setUint32(12, ref, true);
    view.setUint16(16, dom, true);
    this.grant(Op.map, view);
    return { status: view.getInt16(18, true), handle: view.getUint32(20, true), bus: view.getBigUint64(24, true) };
  }
  unmap(address: bigint, handle: number, bus = 0n): number {
    const view = new DataView(new ArrayBuffer(24));
    view.setBigUint64(0, address, true);
    view.setBigUint64(8, bus, true);
    view.setUint32(16, handle, true);
    this.grant(Op.unmap, view);
    return view.getInt16(20, true);
  }
  copy(from: { ref: number; dom: number; offset?: number }, toPage: number, length: number): number {
    const view = new DataView(new ArrayBuffer(40));
    view.setBigUint64(0, BigInt(from.ref), true);
    view.setUint16(8, from.dom, true);
    view.setUint16(10, from.offset ?? 0, true);
    view.setBigUint64(16, BigInt(this.frame(toPage)), true);
    view.setUint16(24, 0x7ff0, true);
    view.setUint16(32, length, true);
    view.setUint16(34, 1, true);
    this.grant(Op.copy, view);
    return view.getInt16(36, true);
  }
  setVersion(version: number): void {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, version, true);
    this.grant(Op.setVersion, view);
    expect(view.getUint32(0, true)).toBe(version);
  }
  text(address: bigint, length: number): string {
    const bytes = copyIn(this.vcpu, address, length);
    return bytes ? new TextDecoder().decode(bytes) : 'unreadable';
  }
  write(address: bigint, text: string): boolean {
    return copyOut(this.vcpu, address, new TextEncoder().encode(text));
  }
  /** Makes spare page `n` a hole: an HVM guest's mapping needs a place, a PV guest's only an entry. */
  vacate(n: number): void {
    if (!this.d.hvm) return;
    const at = this.address(7);
    const view = new DataView(new ArrayBuffer(40));
    view.setBigUint64(0, at + 32n, true);
    view.setBigUint64(8, 1n, true);
    view.setUint16(24, 0x7ff0, true);
    view.setBigUint64(32, BigInt(this.gfn(n)), true);
    expect(copyOut(this.vcpu, at, new Uint8Array(view.buffer))).toBe(true);
    expect(Number(this.hypercall(12n, 1n, at))).toBe(1);
  }
  /** Address that a map operation names spare page `n` by. */
  place(n: number): bigint {
    return this.d.hvm ? BigInt(this.gfn(n)) << 12n : this.address(n);
  }
}

beforeEach(() => {
  xen = new XenHost({ name: 'test', pcpus: 1, memoryMiB: 48, clockMHz: 1000 }, 1, {
    console: () => {},
    stateChanged: () => {},
  });
});

describe.each([
  ['PV', 'pv'],
  ['PVH', 'pvh'],
] as const)('a backend in a %s guest', (_name, mode) => {
  let front: Guest;
  let back: Guest;
  beforeEach(() => {
    front = new Guest('pv');
    back = new Guest(mode);
    front.write(front.address(0), 'hello from the frontend');
    front.d.grants.permit(40, back.d.domid, front.frame(0));
    back.vacate(1);
  });
  const references = () => [xen.host.frames.refs[front.mfn(0)], xen.host.frames.typeCount[front.mfn(0)]];

  it('maps a page, shares it, unmaps it, and leaves nothing behind', () => {
    const before = references();
    const mapped = back.map(back.place(1), Flag.host, 40, front.d.domid);
    expect(mapped).toMatchObject({ status: 0, bus: BigInt(front.mfn(0)) * 4096n });
    expect(back.text(back.address(1), 5)).toBe('hello');
    expect(back.write(back.address(1), 'HELLO')).toBe(true);
    expect(front.text(front.address(0), 5)).toBe('HELLO');
    expect(checkInvariants(xen.host)).toEqual([]);
    // While it is lent for writing it cannot become a page table.
    expect(xen.host.types.getPageAndType(front.mfn(0), front.d.domid, FrameType.L1)).toBeLessThan(0);
    expect(back.unmap(back.place(1), mapped.handle)).toBe(0);
    expect(back.text(back.address(1), 5)).toBe('unreadable');
    expect(references()).toEqual(before);
    expect(back.unmap(back.place(1), mapped.handle)).toBe(GrantStatus.bad_handle);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('can only read what was granted or mapped for reading', () => {
    front.d.grants.write(41, 1 | 4, back.d.domid, front.frame(0));
    expect(back.map(back.place(1), Flag.host, 41, front.d.domid).status).toBe(GrantStatus.general_error);
    const mapped = back.map(back.place(1), Flag.host | Flag.readonly, 41, front.d.domid);
    expect(mapped.status).toBe(0);
    expect(back.text(back.address(1), 5)).toBe('hello');
    expect(back.write(back.address(1), 'HELLO')).toBe(false);
    expect(checkInvariants(xen.host)).toEqual([]);
    expect(back.unmap(back.place(1), mapped.handle)).toBe(0);
  });

  it('is refused what was granted to nobody, to others, and what is no place', () => {
    expect(back.map(back.place(1), Flag.host, 42, front.d.domid).status).toBe(GrantStatus.general_error);
    expect(back.map(back.place(1), Flag.host, 1 << 20, front.d.domid).status).toBe(GrantStatus.bad_gntref);
    expect(back.map(back.place(1), Flag.host, 40, 999).status).toBe(GrantStatus.bad_domain);
    expect(back.map(back.place(1), 0, 40, front.d.domid).status).toBe(GrantStatus.bad_gntref);
    expect(back.map(0x1234_5678_9000n, Flag.host, 40, front.d.domid).status).toBeLessThan(0);
    // An entry of somebody else's page table, named by its machine address.
    const theirs = BigInt(front.entry(2));
    expect(back.map(theirs, Flag.host | Flag.containsPte, 40, front.d.domid).status).toBe(GrantStatus.general_error);
    expect(back.d.grants.mappings.size).toBe(0);
    expect(references()).toEqual([2, 1]);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('may map for a device only, and then needs no place', () => {
    const mapped = back.map(0n, Flag.device, 40, front.d.domid);
    expect(mapped).toMatchObject({ status: 0, bus: BigInt(front.mfn(0)) * 4096n });
    expect(references()).toEqual([3, 2]);
    expect(back.unmap(0n, mapped.handle, 4096n)).toBe(GrantStatus.bad_dev_addr);
    expect(back.unmap(0n, mapped.handle, mapped.bus)).toBe(0);
    expect(references()).toEqual([2, 1]);
  });

  it("dies: the page is the frontend's alone again", () => {
    expect(back.map(back.place(1), Flag.host, 40, front.d.domid).status).toBe(0);
    xen.destroyDomain(back.d.domid);
    expect(references()).toEqual([2, 1]);
    expect(front.d.grants.active.size).toBe(0);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it("outlives the frontend: the page stays until it is unmapped, and is nobody else's meanwhile", () => {
    const mapped = back.map(back.place(1), Flag.host, 40, front.d.domid);
    const mfn = front.mfn(0);
    xen.destroyDomain(front.d.domid);
    expect(checkInvariants(xen.host)).toEqual([]);
    expect(back.text(back.address(1), 5)).toBe('hello');
    const free = xen.host.frames.free;
    expect(back.unmap(back.place(1), mapped.handle)).toBe(0);
    expect(xen.host.frames.free).toBe(free + 1);
    expect(xen.host.frames.refs[mfn]).toBe(0);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('gets a page that was given to it, once, with what is in it', () => {
    back.d.maxPages = back.d.totalPages + 1;
    back.d.grants.write(50, 2, front.d.domid, back.gfn(1));
    // The frontend unmaps it first: a page that anything holds is not for giving away.
    const [mfn, entry] = [front.mfn(0), BigInt(front.entry(0))];
    const give = (): number => {
      const view = new DataView(new ArrayBuffer(24));
      view.setBigUint64(0, BigInt(mfn), true);
      view.setUint16(8, back.d.domid, true);
      view.setUint32(12, 50, true);
      front.grant(Op.transfer, view);
      return view.getInt16(16, true);
    };
    expect(give()).toBe(GrantStatus.bad_page);
    const at = front.address(7);
    copyOut(front.vcpu, at, new Uint8Array(BigUint64Array.of(entry, 0n).buffer));
    expect(front.hypercall(1n, at, 1n, 0n, 0x7ff0n)).toBe(0);
    const [frontPages, backPages] = [front.d.totalPages, back.d.totalPages];
    expect(give()).toBe(0);
    expect([front.d.totalPages, back.d.totalPages]).toEqual([frontPages - 1, backPages + 1]);
    expect(xen.host.frames.owner[mfn]).toBe(back.d.domid);
    expect(new TextDecoder().decode(back.d.mem.copyOut(mfn * 4096, 5))).toBe('hello');
    if (mode === 'pvh') expect(back.mfn(1)).toBe(mfn);
    expect(back.d.mem.read16(back.d.grants.frames[0] * 4096 + 50 * 8)).toBe(2 | 4 | 8);
    expect(give()).toBe(GrantStatus.bad_page);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('copies part of a page, and what was granted to the domain that grants it (version 2)', () => {
    const third = new Guest('pv');
    front.setVersion(2);
    third.setVersion(2);
    const entry = (g: Guest, ref: number) => g.d.grants.frames[0] * 4096 + ref * 16;
    const write = (g: Guest, ref: number, ...words: number[]) =>
      words.forEach((word, i) => g.d.mem.write32(entry(g, ref) + i * 4, word));
    const domid = (d: Domain) => d.domid << 16;
    // bytes 6 to 10 of the page: "from"
    write(front, 60, 1 | 4 | 256 | domid(back.d), 6 | (4 << 16), front.frame(0), 0);
    expect(back.copy({ ref: 60, dom: front.d.domid, offset: 6 }, 2, 4)).toBe(0);
    expect(back.text(back.address(2), 4)).toBe('from');
    expect(back.copy({ ref: 60, dom: front.d.domid, offset: 6 }, 2, 5)).toBe(GrantStatus.bad_copy_arg);
    expect(back.copy({ ref: 60, dom: front.d.domid, offset: 5 }, 2, 4)).toBe(GrantStatus.bad_copy_arg);
    expect(back.map(back.place(1), Flag.host | Flag.readonly, 60, front.d.domid).status).toBe(
      GrantStatus.general_error,
    );
    // front grants to third, and third lets back use that
    write(front, 61, 1 | 4 | domid(third.d), 0, front.frame(0), 0);
    write(third, 62, 3 | 4 | domid(back.d), front.d.domid, 61, 0);
    expect(back.copy({ ref: 62, dom: third.d.domid }, 2, 5)).toBe(0);
    expect(back.text(back.address(2), 5)).toBe('hello');
    expect(back.copy({ ref: 61, dom: front.d.domid }, 2, 5)).toBe(GrantStatus.general_error);
    // no further than one step, not to itself, and not mapped
    write(front, 63, 3 | 4 | domid(third.d), third.d.domid, 62, 0);
    write(third, 64, 3 | 4 | domid(back.d), front.d.domid, 63, 0);
    write(third, 65, 3 | 4 | domid(back.d), third.d.domid, 65, 0);
    for (const ref of [64, 65]) expect(back.copy({ ref, dom: third.d.domid }, 2, 5)).toBe(GrantStatus.general_error);
    expect(back.map(back.place(1), Flag.host | Flag.readonly, 62, third.d.domid).status).toBe(
      GrantStatus.general_error,
    );
    expect(references()).toEqual([2, 1]);
    expect(checkInvariants(xen.host)).toEqual([]);
  });
});

describe('a PV backend', () => {
  it('names its entries by machine address, and unmaps into another mapping of its own', () => {
    const front = new Guest('pv');
    const back = new Guest('pv');
    front.write(front.address(0), 'hello');
    front.d.grants.permit(40, back.d.domid, front.frame(0));
    const entry = BigInt(back.entry(1));
    const mapped = back.map(entry, Flag.host | Flag.containsPte, 40, front.d.domid);
    expect(mapped.status).toBe(0);
    expect(back.text(back.address(1), 5)).toBe('hello');
    back.write(back.address(2), 'mine!');
    // By linear address it is another mapping than the one that was made.
    expect(back.unmap(back.address(1), mapped.handle)).toBe(GrantStatus.general_error);
    const view = new DataView(new ArrayBuffer(24));
    view.setBigUint64(0, entry, true);
    view.setBigUint64(8, back.address(2), true);
    view.setUint32(16, mapped.handle, true);
    back.grant(Op.unmapAndReplace, view);
    expect(view.getInt16(20, true)).toBe(0);
    expect(back.text(back.address(1), 5)).toBe('mine!');
    expect(back.text(back.address(2), 5)).toBe('unreadable');
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('that clears the entry itself keeps the grant until its end, and cannot copy the entry', () => {
    const front = new Guest('pv');
    const back = new Guest('pv');
    front.d.grants.permit(40, back.d.domid, front.frame(0));
    const mapped = back.map(back.address(1), Flag.host, 40, front.d.domid);
    const update = (ptr: bigint, value: bigint) => {
      const at = back.address(7);
      copyOut(back.vcpu, at, new Uint8Array(BigUint64Array.of(ptr, value).buffer));
      return Number(back.hypercall(1n, at, 1n, 0n, 0x7ff0n));
    };
    const entry = BigInt(back.entry(1));
    expect(update(BigInt(back.entry(2)), BigInt(front.mfn(0)) * 4096n + 1n)).toBeLessThan(0);
    expect(update(entry, 0n)).toBe(0);
    expect(back.unmap(back.address(1), mapped.handle)).toBe(GrantStatus.bad_virt_addr);
    expect(front.d.grants.active.get(40)?.writers).toBe(1);
    expect(checkInvariants(xen.host)).toEqual([]);
    xen.destroyDomain(back.d.domid);
    expect(front.d.grants.active.size).toBe(0);
    expect(checkInvariants(xen.host)).toEqual([]);
  });

  it('has a limit of mappings, and two entries change places only while nobody uses them', () => {
    const front = new Guest('pv');
    const back = new Guest('pv');
    front.d.grants.permit(40, back.d.domid, front.frame(0));
    front.d.grants.permit(41, back.d.domid, front.frame(1));
    const swap = (): number => {
      const view = new DataView(new ArrayBuffer(12));
      view.setUint32(0, 40, true);
      view.setUint32(4, 41, true);
      front.grant(Op.swap, view);
      return view.getInt16(8, true);
    };
    expect(swap()).toBe(0);
    let last = back.map(0n, Flag.device, 40, front.d.domid);
    expect(last.bus).toBe(BigInt(front.mfn(1)) * 4096n);
    expect(swap()).toBe(GrantStatus.eagain);
    for (let i = 1; i < MAX_MAPPINGS; i++) back.d.grants.track({ ...back.d.grants.mappings.get(0)!, mfn: -1 });
    last = back.map(0n, Flag.device, 40, front.d.domid);
    expect(last.status).toBe(GrantStatus.no_space);
    expect(front.d.grants.active.get(40)?.writers).toBe(1);
  });
});
