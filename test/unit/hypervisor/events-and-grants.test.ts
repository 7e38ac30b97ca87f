// Event channels and grants between real domains of a host (no guest code runs).

import { beforeEach, describe, expect, it } from 'vitest';
import { HostMemory } from '../../../main/machine/cpu/host-memory.ts';
import { Errno } from '../../../main/hypervisor/abi/errno.ts';
import { Virq } from '../../../main/hypervisor/abi/constants.ts';
import type { Domain } from '../../../main/hypervisor/domain.ts';
import { connectBackend } from '../../../main/hypervisor/events/event-channels.ts';
import { GrantStatus } from '../../../main/hypervisor/grants/grant-table.ts';
import { Host } from '../../../main/hypervisor/host.ts';
import { checkInvariants } from '../../../main/hypervisor/memory/checker.ts';
import { FrameType } from '../../../main/hypervisor/memory/frame-table.ts';

let host: Host;
let a: Domain;
let b: Domain;
const make = (kind: 'pv64' | 'pv32'): Domain => {
  const d = host.createDomain(kind, kind, new Uint8Array(16))!;
  d.maxPages = 64;
  host.addVcpu(d);
  host.addVcpu(d);
  return d;
};
/** Offsets in shared_info of a 64-bit guest. */
const pendingBit = (d: Domain, port: number) => (d.mem.u8[d.sharedInfo + 2048 + (port >> 3)] >> (port & 7)) & 1;
const mask = (d: Domain, port: number) => void (d.mem.u8[d.sharedInfo + 2048 + 512 + (port >> 3)] |= 1 << (port & 7));

beforeEach(() => {
  host = new Host({ mem: new HostMemory(16 * 2 ** 20), pcpus: 1, clockMHz: 1000, wallClockBaseNs: 0n });
  a = make('pv64');
  b = make('pv64');
});

describe('interdomain channels', () => {
  it('carry an event to the other side, its vCPU and its selector', () => {
    const offered = a.events.allocUnbound(b.domid);
    const bound = b.events.bindInterdomain(a.domid, offered);
    b.events.bindVcpu(bound, 1);
    expect(pendingBit(b, bound)).toBe(1); // binding raises it, in case the other side was quick
    b.events.abi.clearPending(bound);
    expect(a.events.send(offered)).toBe(0);
    expect(pendingBit(b, bound)).toBe(1);
    expect(b.vcpus[1].upcallPending).toBe(true);
    expect(Number(b.mem.u64[(b.vcpus[1].info + 8) >>> 3])).toBe(1);
  });

  it('are for the domain they were offered to, once', () => {
    const c = make('pv64');
    const offered = a.events.allocUnbound(b.domid);
    expect(c.events.bindInterdomain(a.domid, offered)).toBe(-Errno.EINVAL);
    expect(b.events.bindInterdomain(a.domid, offered)).toBeGreaterThan(0);
    expect(b.events.bindInterdomain(a.domid, offered)).toBe(-Errno.EINVAL);
    expect(b.events.bindInterdomain(999, offered)).toBe(-Errno.ESRCH);
  });

  it('leave the other end unbound when one end is closed', () => {
    const offered = a.events.allocUnbound(b.domid);
    const bound = b.events.bindInterdomain(a.domid, offered);
    expect(b.events.close(bound)).toBe(0);
    expect(a.events.send(offered)).toBe(0); // lost, not an error
    expect(b.events.send(bound)).toBe(-Errno.EINVAL);
    expect(b.events.bindInterdomain(a.domid, offered)).toBeGreaterThan(0);
  });

  it('wait while masked, and are looked at when unmasked', () => {
    const port = a.events.bindIpi(0);
    mask(a, port);
    a.events.send(port);
    expect(pendingBit(a, port)).toBe(1);
    expect(a.vcpus[0].upcallPending).toBe(false);
    a.events.unmask(port);
    expect(a.vcpus[0].upcallPending).toBe(true);
  });

  it('end with the domain', () => {
    const offered = a.events.allocUnbound(b.domid);
    b.events.bindInterdomain(a.domid, offered);
    host.destroyDomain(b);
    expect(a.events.send(offered)).toBe(0);
    expect(checkInvariants(host)).toEqual([]);
  });
});

describe('virtual interrupts', () => {
  it('are bound once per vCPU and raise its port', () => {
    const port = a.events.bindVirq(Virq.TIMER, 1);
    expect(a.events.bindVirq(Virq.TIMER, 1)).toBe(-Errno.EEXIST);
    expect(a.events.bindVirq(Virq.TIMER, 7)).toBe(-Errno.ENOENT);
    expect(a.events.bindVirq(99, 0)).toBe(-Errno.EINVAL);
    a.events.raiseVirq(Virq.TIMER, 0);
    expect(a.vcpus[1].upcallPending).toBe(false);
    a.events.raiseVirq(Virq.TIMER, 1);
    expect(pendingBit(a, port)).toBe(1);
    a.events.close(port);
    expect(a.events.bindVirq(Virq.TIMER, 1)).toBeGreaterThan(0);
  });
});

it('backends are called, and call back', () => {
  let rung = 0;
  const end = connectBackend(a, () => rung++);
  if (typeof end === 'number') throw new Error('no channel');
  rung = 0;
  a.events.send(end.guestPort);
  expect(rung).toBe(1);
  end.notify();
  expect(pendingBit(a, end.guestPort)).toBe(1);
});

describe('FIFO channels', () => {
  it('link pending ports into the queue of their priority, in order', () => {
    const control = a.allocatePage();
    const array = a.allocatePage();
    expect(a.events.initControl(0, control, 0)).toBe(0);
    expect(a.events.expandArray(array)).toBe(0);
    const [p, q] = [a.events.bindIpi(0), a.events.bindIpi(0)];
    a.events.send(p);
    a.events.send(q);
    const word = (port: number) => a.mem.read32(array * 4096 + port * 4);
    expect(a.mem.read32(control * 4096) & (1 << 7)).not.toBe(0);
    expect(a.mem.read32(control * 4096 + 8 + 7 * 4)).toBe(p);
    expect(word(p) & 0x1_ffff).toBe(q);
    expect(word(p) >>> 28).toBe(0b1010); // pending and linked
    expect(a.events.setPriority(q, 16)).toBe(-Errno.EINVAL);
    expect(a.events.setPriority(q, 0)).toBe(0);
    expect(checkInvariants(host).filter((s) => s.includes('references'))).toEqual([]);
    expect(a.host.types.getPageAndType(array, a.domid, FrameType.L1)).not.toBe(0);
  });

  it('remember what was raised before its word existed', () => {
    const port = a.events.bindIpi(0);
    a.events.send(port);
    const [control, array] = [a.allocatePage(), a.allocatePage()];
    a.events.initControl(0, control, 0);
    a.events.expandArray(array);
    expect(a.mem.read32(array * 4096 + port * 4) >>> 31).toBe(1);
  });

  it("refuse pages that are not the domain's", () => {
    expect(a.events.initControl(0, b.allocatePage(), 0)).toBeLessThan(0);
    expect(a.events.initControl(0, a.allocatePage(), 4090)).toBe(-Errno.EINVAL);
    expect(a.events.expandArray(a.allocatePage())).toBe(-Errno.EOPNOTSUPP);
  });
});

describe('grants', () => {
  it('lend a page for reading or writing, and mark the entry while it is used', () => {
    const page = a.allocatePage();
    a.grants.permit(20, 0, page);
    const access = a.grants.open(20, true);
    if (typeof access === 'number') throw new Error('refused');
    expect(access.mfn).toBe(page);
    const flags = () => a.mem.read16(a.grants.frames[0] * 4096 + 20 * 8);
    expect(flags() & 0x18).toBe(0x18);
    expect(a.host.types.getPageAndType(page, a.domid, FrameType.L1)).toBe(-Errno.EBUSY);
    a.grants.close(20, true);
    expect(flags() & 0x18).toBe(0);
    expect([host.frames.refs[page], host.frames.typeCount[page]]).toEqual([1, 0]);
  });

  it('refuse others, missing entries, writes to read-only ones, page tables and foreign pages', () => {
    const page = a.allocatePage();
    a.grants.write(20, 1 | 4, 0, page);
    expect(a.grants.open(20, true)).toBe(GrantStatus.general_error);
    expect(typeof a.grants.open(20, false)).toBe('object');
    a.grants.close(20, false);
    expect(a.grants.acquire(20, b.domid, false)).toBe(GrantStatus.general_error);
    expect(a.grants.open(21, false)).toBe(GrantStatus.general_error);
    expect(a.grants.open(1 << 20, false)).toBe(GrantStatus.bad_gntref);
    a.grants.permit(22, 0, b.allocatePage());
    expect(a.grants.open(22, false)).toBe(GrantStatus.bad_page);
    const table = a.allocatePage();
    host.types.getPageAndType(table, a.domid, FrameType.L1);
    a.grants.permit(23, 0, table);
    expect(a.grants.open(23, true)).toBe(GrantStatus.bad_page);
  });

  it('keep the reserved entries when the version changes, and refuse to change it while in use', () => {
    const page = a.allocatePage();
    a.grants.permit(1, 0, page);
    a.grants.open(1, false);
    expect(a.grants.setVersion(2)).toBe(-Errno.EBUSY);
    a.grants.close(1, false);
    expect(a.grants.setVersion(2)).toBe(0);
    const access = a.grants.open(1, true);
    expect(typeof access === 'object' && access.mfn).toBe(page);
    expect(a.mem.read16(a.grants.statusFrames[0] * 4096 + 2) & 0x18).toBe(0x18);
    a.grants.close(1, true);
    expect(a.grants.setVersion(3)).toBe(-Errno.EINVAL);
  });
});

describe('what a guest can exhaust', () => {
  it('is its own ports and grant frames; others still get theirs', () => {
    let ports = 0;
    let last = 0;
    while ((last = a.events.allocUnbound(b.domid)) > 0) ports++;
    expect(last).toBe(-Errno.ENOSPC);
    // Two-level channels of a 64-bit guest: 4096, and port 0 is nobody's.
    expect(ports).toBe(4095);
    expect(b.events.allocUnbound(a.domid)).toBeGreaterThan(0);
    expect(a.events.close(17)).toBe(0);
    expect(a.events.allocUnbound(b.domid)).toBe(17);
    expect(a.grants.grow(64)).toBe(true);
    expect(a.grants.grow(65)).toBe(false);
    expect(b.grants.grow(1)).toBe(true);
    expect(checkInvariants(host)).toEqual([]);
  });
});
