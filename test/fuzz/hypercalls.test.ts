// Random hypercalls with structured arguments, as PV 64, PV 32 and PVH guests, with the invariant checker on and a victim
// domain beside them whose memory must not change.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HYPERCALLS } from '../../main/hypervisor/hypercalls/table.ts';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { frameAddress } from '../../main/hypervisor/memory/frames.ts';
import type { Domain } from '../../main/hypervisor/domain.ts';
import type { DomainSpec } from '../../shared/model.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';

const CALLS = Number(process.env.FUZZ_CALLS ?? 4000);
/** The whole-host check costs more than many calls; the nightly form makes it less often. */
const CHECK_EVERY = CALLS > 50_000 ? 250 : 25;
const MEMORY_MIB = 8;
const images = new URL('../../main/guests/dinghy/images/', import.meta.url);

/** Numbers that follow from a seed (mulberry32). */
function random(seed: number): (n: number) => number {
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

class Attacker {
  readonly xen: XenHost;
  readonly victim: Domain;
  private readonly spec: (name: string) => DomainSpec;
  private readonly kernel: Uint8Array;
  domain!: Domain;
  /** Guest linear address of a page it may write, and its frame. */
  private buffer = 0n;
  private bufferMfn = 0;
  deaths = 0;
  /** Calls after which it had a page of the victim's mapped, times pages: the fuzzer reaches that far. */
  mappedOfVictim = 0;

  constructor(image: string, mode: 'pv' | 'pvh') {
    this.kernel = readFileSync(new URL(image, images));
    this.xen = new XenHost({ name: 'fuzz', pcpus: 1, memoryMiB: 48, clockMHz: 1000 }, 1, {
      console: () => {},
      stateChanged: () => {},
    });
    this.spec = (name) => ({
      name,
      mode,
      kernel: image,
      cmdline: '',
      memoryMiB: MEMORY_MIB,
      vcpus: 1,
      disks: [],
      nics: [],
      weight: 256,
      cap: 0,
    });
    this.victim = this.build('victim');
    this.xen.pauseDomain(this.victim.domid);
    this.renew();
  }

  private build(name: string): Domain {
    const domid = this.xen.createDomain(this.spec(name), { kernel: this.kernel, disks: [] });
    this.xen.advance(this.xen.host.now() + 30_000_000);
    return this.xen.host.domain(domid)!;
  }

  renew(): void {
    this.domain = this.build(`attacker${this.deaths}`);
    const d = this.domain;
    const { host } = this.xen;
    const v = d.vcpus[0];
    host.core.select(v.machine);
    host.loaded = v;
    // Its last page but eight is free memory, mapped at its place in the kernel's linear map.
    const pfn = MEMORY_MIB * 256 - 8;
    const base = d.kind === 'pv32' || (d.hvm && !(v.cpu.segAttr(1) & 0x2000)) ? 0xc000_0000n : 0xffff_ffff_8000_0000n;
    this.buffer = base + BigInt(pfn) * 4096n;
    this.bufferMfn = -1;
    const lo = Number(this.buffer & 0xffff_ffffn) | 0;
    const maddr = host.core.translate(lo, Number(this.buffer >> 32n) | 0, 0, false);
    if (maddr >= 0) this.bufferMfn = maddr >>> 12;
    expect(this.bufferMfn, 'the buffer is mapped').toBeGreaterThan(0);
    this.seedGrants();
  }

  /** Something to map, to copy from and to take: the victim lends pages for reading, the attacker lends its own to itself and takes what comes. */
  private seedGrants(): void {
    const { host } = this.xen;
    const page = (d: Domain, n: number) => {
      if (d.hvm) return MEMORY_MIB * 256 - 16 + n;
      let mfn = host.frames.frames - 1;
      for (let left = n; ; mfn--) if (host.frames.owner[mfn] === d.domid && left-- === 0) return mfn;
    };
    for (let n = 0; n < 4; n++) {
      this.victim.grants.write(8 + n, 1 | 4, this.domain.domid, page(this.victim, n));
      this.domain.grants.permit(8 + n, this.domain.domid, page(this.domain, n));
      this.domain.grants.write(12 + n, 2, this.domain.domid, n);
    }
  }

  /** Arrays for grant_table_op, field by field: map and unmap with places that exist and flags that mean something. */
  private fillGrants(r: (n: number) => number, operation: number): void {
    const view = new DataView(new ArrayBuffer(5 * 40));
    const size = [32, 24, 0, 0, 24, 40, 0, 24][operation] ?? 12;
    const place = () => [this.buffer - BigInt(4096 * (1 + r(4))), BigInt(MEMORY_MIB * 256 + r(8)) << 12n, 0n][r(3)];
    const dom = () => [this.victim.domid, this.victim.domid, this.domain.domid, 0x7ff0, 0, r(6)][r(6)];
    for (let at = 0; at < 4 * size; at += size) {
      view.setBigUint64(at, place(), true);
      if (operation === 0) {
        view.setUint32(at + 8, [2, 6, 3, 7, 1, 18, 10, r(64)][r(8)], true);
        view.setUint32(at + 12, r(4) ? 7 + r(6) : r(2) * 500, true);
        view.setUint16(at + 16, dom(), true);
      } else if (operation === 5) {
        for (const end of [0, 16]) {
          view.setBigUint64(at + end, BigInt(r(2) ? r(20) : this.frame(r)), true);
          view.setUint16(at + end + 8, dom(), true);
          view.setUint16(at + end + 10, r(4096), true);
        }
        view.setUint16(at + 32, r(4096), true);
        view.setUint16(at + 34, r(4), true);
      } else if (operation === 4) {
        view.setBigUint64(at, BigInt(this.frame(r)), true);
        view.setUint16(at + 8, dom(), true);
        view.setUint32(at + 12, r(20), true);
      } else {
        view.setBigUint64(at + 8, operation === 7 ? place() : 0n, true);
        view.setUint32(at + 16, r(12), true);
      }
    }
    this.xen.host.mem.copyIn(this.bufferMfn * 4096, new Uint8Array(view.buffer));
  }

  private frame(r: (n: number) => number): number {
    const { frames } = this.xen.host;
    const own = () => {
      for (let tries = 0; tries < 1000; tries++) {
        const mfn = r(frames.frames);
        if (frames.owner[mfn] === this.domain.domid) return mfn;
      }
      return 0;
    };
    switch (r(10)) {
      case 0:
        return r(frames.frames);
      case 1:
        return this.domain.vcpus[0].pv?.guestTable ?? 0;
      case 2:
        return this.domain.sharedInfoMfn;
      case 3:
        return this.victim.sharedInfoMfn;
      case 4:
        return frames.frames + r(16);
      case 5:
        return 512 + r(16);
      case 6: {
        // A page table, if it has any.
        for (let tries = 0; tries < 3000; tries++) {
          const mfn = r(frames.frames);
          if (frames.owner[mfn] === this.domain.domid && frames.typeCount[mfn] && frames.type[mfn] !== 7) return mfn;
        }
        return own();
      }
      default:
        return own();
    }
  }

  private value(r: (n: number) => number): bigint {
    switch (r(14)) {
      case 0:
      case 1:
      case 2:
        return BigInt(r(8));
      case 3:
        return BigInt(r(256));
      case 4:
      case 5:
        return BigInt(this.frame(r));
      case 6:
      case 7:
        return (BigInt(this.frame(r)) << 12n) | BigInt(r(8) === 0 ? r(4096) : [1, 3, 7, 0x67, 0x83, 0x1e3, 0, 2][r(8)]);
      case 8:
        return this.buffer + BigInt(r(16) * 256);
      case 9:
        return 0x7ff0n;
      case 10:
        return BigInt(this.victim.domid);
      case 11:
        return [
          0xffff_ffff_ffff_ffffn,
          0x8000_0000_0000_0000n,
          0xffff_8000_0000_0000n,
          0x1_0000_0000n,
          0xffff_ffffn,
          0x7fff_ffff_ffff_ffffn,
        ][r(6)];
      case 12:
        return BigInt(r(2 ** 31)) * BigInt(r(2 ** 31));
      default:
        return 0n;
    }
  }

  /** One random hypercall. */
  step(r: (n: number) => number): void {
    const d = this.domain;
    const v = d.vcpus[0];
    const { host } = this.xen;
    const wide = d.isPv ? !d.is32 : (v.cpu.segAttr(1) & 0x2000) !== 0;
    const { mem } = host;
    if (host.frames.owner[this.bufferMfn] === d.domid && host.frames.type[this.bufferMfn] !== 1) {
      const at = frameAddress(this.bufferMfn);
      for (let i = 0; i < 512; i++) mem.view.setBigUint64(at + i * 8, BigInt.asUintN(64, this.value(r)), true);
      if (!wide)
        for (let i = 0; i < 1024; i += 1 + r(3))
          mem.view.setUint32(at + i * 4, Number(this.value(r) & 0xffff_ffffn), true);
      mem.noteWrite(this.bufferMfn * 4096, 4096);
    }
    const number = r(20) === 0 ? r(64) : r(8) === 0 ? 20 : HYPERCALLS[r(HYPERCALLS.length)].number;
    const clip = (x: bigint) => (wide ? BigInt.asUintN(64, x) : x & 0xffff_ffffn);
    const args = Array.from({ length: 6 }, () => clip(this.value(r)));
    // Where a pointer belongs it often is one.
    if (r(3)) args[1] = clip(this.buffer + BigInt(r(8) * 128));
    if (r(3) === 0 || [0, 1, 26, 13, 2].includes(number)) args[0] = clip(this.buffer + BigInt(r(8) * 128));
    if ([1, 26, 13, 20].includes(number)) args[number === 20 ? 2 : 1] = BigInt(r(4) + 1);
    if ([1, 26].includes(number)) args[3] = 0x7ff0n;
    if ([12, 20, 24, 29, 32, 34, 17, 21, 33].includes(number)) args[0] = BigInt(r(28));
    if (number === 20 && r(4) && host.frames.owner[this.bufferMfn] === d.domid) {
      const operation = [0, 0, 1, 1, 4, 5, 7, 11][r(8)];
      this.fillGrants(r, operation);
      args[0] = BigInt(operation);
      args[1] = clip(this.buffer);
    }
    host.hypercalls.call(v, number, args, wide);
    host.flushIfNeeded();
    for (const m of d.grants.mappings.values()) if (m.domid === this.victim.domid) this.mappedOfVictim++;
  }

  dead(): boolean {
    return this.domain.shutdownReason !== null;
  }

  bury(): void {
    this.deaths++;
    this.xen.destroyDomain(this.domain.domid);
  }

  victimDigest(): string {
    const hash = createHash('sha256');
    const { frames, mem } = this.xen.host;
    for (let mfn = 0; mfn < frames.frames; mfn++)
      // The entries of its grant table name the attacker of the day, and say who maps them.
      if (frames.owner[mfn] === this.victim.domid && !this.victim.grants.frames.includes(mfn))
        hash.update(`${mfn}`).update(mem.frame(mfn));
    return hash.digest('hex');
  }
}

describe.each([
  ['PV 64', 'dinghy-pv64', 'pv', 11],
  ['PV 32', 'dinghy-pv32', 'pv', 12],
  ['PVH 64', 'dinghy-hw64', 'pvh', 13],
  ['PVH 32', 'dinghy-hw32', 'pvh', 14],
] as const)('a hostile %s guest', (_name, image, mode, seed) => {
  it(`makes ${CALLS} hypercalls without harm to anyone`, () => {
    const r = random(seed);
    const a = new Attacker(image, mode);
    const digest = a.victimDigest();
    const free = a.xen.host.frames.free + a.domain.totalPages;
    expect(checkInvariants(a.xen.host)).toEqual([]);
    for (let i = 0; i < CALLS; i++) {
      a.step(r);
      if (i % CHECK_EVERY === 0) expect(checkInvariants(a.xen.host), `after call ${i}`).toEqual([]);
      if (a.dead() || i % 1000 === 999) {
        a.bury();
        expect(checkInvariants(a.xen.host), `after its end, call ${i}`).toEqual([]);
        expect(a.xen.host.frames.free).toBeGreaterThanOrEqual(free);
        a.renew();
      }
    }
    a.bury();
    expect(checkInvariants(a.xen.host)).toEqual([]);
    expect(a.victimDigest()).toBe(digest);
    expect([...a.victim.grants.active]).toEqual([]);
    expect(a.mappedOfVictim).toBeGreaterThan(0);
  });
});
