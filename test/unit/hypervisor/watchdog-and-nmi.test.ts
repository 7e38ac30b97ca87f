// The watchdogs of a domain, and non-maskable interrupts: to a PV guest's callback and to an HVM guest's vector 2.

import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { HostMemory } from '../../../main/machine/cpu/host-memory.ts';
import { DeliveryMode } from '../../../main/machine/devices/local-apic/registers.ts';
import { Errno } from '../../../main/hypervisor/abi/errno.ts';
import type { Domain } from '../../../main/hypervisor/domain.ts';
import { copyIn, copyOut } from '../../../main/hypervisor/guest-memory.ts';
import { Host } from '../../../main/hypervisor/host.ts';
import { frameAddress } from '../../../main/hypervisor/memory/frames.ts';
import { preparePv } from '../../../main/hypervisor/pv/exits.ts';
import type { GuestVcpu } from '../../../main/hypervisor/vcpu.ts';
import { XenHost } from '../../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../../shared/model.ts';
import { NS_PER_SECOND } from '../../../shared/units.ts';

const kernel = readFileSync(new URL('../../../main/guests/dinghy/images/dinghy-pv64', import.meta.url));
const IRET = 23n;
const VCPU_OP = 24n;
const NMI_OP = 28n;
const SCHED_OP = 29n;
const SEND_NMI = 11n;

const hypercall = (host: Host, v: GuestVcpu, number: bigint, ...args: bigint[]) =>
  host.hypercalls.call(v, Number(number), [...args, 0n, 0n, 0n, 0n, 0n].slice(0, 6), true);

describe('a PV guest', () => {
  let xen: XenHost;
  let domid: number;
  let d: Domain;
  let v: GuestVcpu;
  /** A page of the guest that its kernel maps writable. */
  const page = 0xffff_ffff_8000_0000n + BigInt(8 * 256 - 8) * 4096n;
  /** Puts the guest's vCPU into the core, where hypercalls on its behalf find its address space. */
  const enter = () => {
    xen.host.core.select(v.machine);
    xen.host.loaded = v;
  };
  const put = (...words: bigint[]) => {
    enter();
    expect(copyOut(v, page, new Uint8Array(BigUint64Array.from(words).buffer))).toBe(true);
  };
  const watchdog = (id: number, seconds: number) => {
    put(BigInt(id) | (BigInt(seconds) << 32n));
    return hypercall(xen.host, v, SCHED_OP, 6n, page);
  };
  const pass = (seconds: number) => xen.advance(xen.host.now() + seconds * NS_PER_SECOND);
  const shutdown = () => xen.domainStatus(domid).shutdown;

  beforeEach(() => {
    xen = new XenHost({ name: 'test', pcpus: 1, memoryMiB: 32, clockMHz: 1000 }, 1, {
      console: () => {},
      stateChanged: () => {},
    });
    const spec = DomainSpec.parse({ name: 'guest', mode: 'pv', kernel: 'dinghy', memoryMiB: 8 });
    domid = xen.createDomain(spec, { kernel, disks: [] });
    xen.advance(30_000_000);
    d = xen.host.domain(domid)!;
    v = d.vcpus[0]!;
    expect(v.blocked).toBe(true); // at its prompt
  });

  it('is shut down with the reason watchdog when it does not kick its watchdog in time', () => {
    expect(watchdog(0, 2)).toBe(1);
    pass(1.5);
    expect(watchdog(1, 2)).toBe(0); // the kick
    pass(1.9);
    expect(shutdown()).toBeNull();
    pass(0.2);
    expect(shutdown()).toBe('watchdog');
  });

  it('is left alone when it stops its watchdog, and has two', () => {
    expect(watchdog(0, 1)).toBe(1);
    expect(watchdog(0, 1)).toBe(2);
    expect(watchdog(0, 1)).toBe(-Errno.ENOSPC);
    expect(watchdog(3, 1)).toBe(-Errno.EINVAL);
    expect(watchdog(1, 0)).toBe(0);
    expect(watchdog(1, 1)).toBe(-Errno.EINVAL); // stopped, so it cannot be kicked
    expect(watchdog(2, 0)).toBe(0);
    pass(3);
    expect(shutdown()).toBeNull();
    expect(watchdog(0, 1)).toBe(1);
    pass(1.1);
    expect(shutdown()).toBe('watchdog');
  });

  it('leaves no watchdog behind when it is destroyed', () => {
    // One year: the host would hold the dead domain all the time.
    expect(watchdog(0, 31_536_000)).toBe(1);
    xen.destroyDomain(domid);
    expect(d.watchdogs).toEqual([null, null]);
    expect(xen.advance(xen.host.now() + 1000).idleUntil).toBeGreaterThan(1e9 * NS_PER_SECOND);
  });

  it('enters its NMI callback with events masked, wherever it slept', () => {
    const handler = page + 2048n;
    put(handler);
    expect(hypercall(xen.host, v, NMI_OP, 0n, page)).toBe(0);
    const [rip, rsp] = [v.cpu.rip, v.cpu.rsp];
    v.setUpcallMask(0);
    expect(hypercall(xen.host, v, VCPU_OP, SEND_NMI, 0n)).toBe(0);
    expect(v.blocked).toBe(false);
    preparePv(v);
    expect(v.cpu.rip).toBe(handler);
    expect(v.upcallMasked).toBe(true);
    // rcx, r11, rip, cs, flags, rsp, ss
    const frame = new BigUint64Array(copyIn(v, v.cpu.rsp, 56)!.slice().buffer);
    expect(frame[2]).toBe(rip);
    expect(frame[5]).toBe(rsp);
    preparePv(v);
    expect(v.cpu.rsp).toBe((rsp & ~15n) - 56n); // one NMI, one frame
  });

  it('gets no second NMI in its handler: it comes once, with the return from the first', () => {
    const handler = page + 2048n;
    put(handler);
    expect(hypercall(xen.host, v, NMI_OP, 0n, page)).toBe(0);
    const [rip, rsp, ss] = [v.cpu.rip, v.cpu.rsp, 0xe02bn];
    hypercall(xen.host, v, VCPU_OP, SEND_NMI, 0n);
    preparePv(v);
    expect(v.cpu.rip).toBe(handler);
    const inside = v.cpu.rsp;
    // two more while the handler runs, wherever it is by then
    v.cpu.rip = handler + 5n;
    for (let n = 0; n < 2; n++) {
      hypercall(xen.host, v, VCPU_OP, SEND_NMI, 0n);
      preparePv(v);
      expect([v.cpu.rip, v.cpu.rsp]).toEqual([handler + 5n, inside]);
    }
    // rax, r11, rcx, flags, rip, cs, rflags, rsp, ss
    put(0n, 0n, 0n, 0n, rip, 0xe030n, 0x202n, rsp, ss);
    v.cpu.rsp = page;
    hypercall(xen.host, v, IRET);
    expect([v.cpu.rip, v.cpu.rsp]).toEqual([rip, rsp]);
    preparePv(v);
    expect(v.cpu.rip).toBe(handler);
    expect(new BigUint64Array(copyIn(v, v.cpu.rsp, 56)!.slice().buffer)[2]).toBe(rip);
    // both were one, and are done
    put(0n, 0n, 0n, 0n, rip, 0xe030n, 0x202n, rsp, ss);
    v.cpu.rsp = page;
    hypercall(xen.host, v, IRET);
    preparePv(v);
    expect(v.cpu.rip).toBe(rip);
    // without one that waits, a return only opens the way
    hypercall(xen.host, v, VCPU_OP, SEND_NMI, 0n);
    preparePv(v);
    expect(v.cpu.rip).toBe(handler);
  });

  it('keeps an NMI until it has a callback', () => {
    enter();
    const { rip } = v.cpu;
    expect(hypercall(xen.host, v, VCPU_OP, SEND_NMI, 0n)).toBe(0);
    expect(hypercall(xen.host, v, VCPU_OP, SEND_NMI, 9n)).toBe(-Errno.ENOENT);
    preparePv(v);
    expect(v.cpu.rip).toBe(rip);
    put(page + 2048n);
    expect(hypercall(xen.host, v, NMI_OP, 0n, page)).toBe(0);
    preparePv(v);
    expect(v.cpu.rip).toBe(page + 2048n);
  });
});

describe('an HVM guest', () => {
  const CODE = 0x8000;
  const HANDLER = 0x8100;
  const COUNT = 0x9000;
  let host: Host;
  let v: GuestVcpu;
  /** NMIs that its handler has counted. */
  let counted: () => number;

  beforeEach(() => {
    host = new Host({ mem: new HostMemory(16 * 2 ** 20), pcpus: 1, clockMHz: 1000, wallClockBaseNs: 0n });
    const d = host.createDomain('hvm', 'hvm', new Uint8Array(16))!;
    d.maxPages = 16;
    const first = d.allocatePages(4);
    for (let gfn = 0; gfn < 16; gfn++) d.hvm!.p2m.set(gfn, first + gfn);
    const write = (gpa: number, bytes: number[]) => host.mem.u8.set(bytes, frameAddress(first) + gpa);
    write(2 * 4, [HANDLER & 0xff, HANDLER >> 8, 0, 0]); // real mode's vector 2
    write(CODE, [0xfa, 0xf4, 0xeb, 0xfd]); // cli; hlt; jmp to the hlt
    write(HANDLER, [0x2e, 0xfe, 0x06, COUNT & 0xff, COUNT >> 8, 0xcf]); // inc byte cs:[COUNT]; iret
    counted = () => host.mem.u8[frameAddress(first) + COUNT]!;
    v = host.addVcpu(d)!;
    v.hvm!.startup(CODE >> 12);
    v.cpu.rsp = 0x7000n;
    while (d.pauseCount > 0) d.unpause();
    host.advance(100_000);
  });

  it.each([
    ['VCPUOP_send_nmi', () => hypercall(host, v, VCPU_OP, SEND_NMI, 0n)],
    [
      'its local APIC',
      () => v.hvm!.apic.accept({ destination: 0, logical: false, mode: DeliveryMode.Nmi, vector: 0, level: false }),
    ],
  ])('that sleeps with interrupts off handles an NMI from %s and sleeps on', (_, send) => {
    expect(v.blocked).toBe(true);
    for (let n = 1; n <= 3; n++) {
      send();
      expect(v.blocked).toBe(false);
      host.advance(host.now() + 100_000);
      expect(counted()).toBe(n);
      expect(v.blocked).toBe(true);
    }
  });
});
