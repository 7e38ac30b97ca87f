// Builds a PV domain: memory, the kernel at its virtual addresses, P2M and M2P, the first page tables, start_info,
// shared_info, console and xenstore rings, and the first vCPU in the state that public/xen.h describes ("bootstrap memory
// layout"): kernel, RAM disk, P2M list, start_info, store page, console page, page tables, boot stack, in this order.

import type { ElfImage } from '../../machine/boot/elf.ts';
import { F, PAGE } from '../../machine/cpu/layout.ts';
import { LEGACY_MAX_VCPUS } from '../../hypervisor/abi/constants.ts';
import { Reg } from '../../hypervisor/cpu-view.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { writeHypercallPage } from '../../hypervisor/hypercalls/hypercall-page.ts';
import { FrameFlag, FrameType } from '../../hypervisor/memory/frame-table.ts';
import { Pte } from '../../hypervisor/memory/pte.ts';
import { updateTimeInfo, updateWallClock } from '../../hypervisor/time/pv-clock.ts';
import { buildError, type BuiltDomain, type DomainImage } from './domain-image.ts';
import type { XenNotes } from './xen-notes.ts';

const ALIGN = 0x40_0000; // the mapped area ends on 4 MiB
const SLACK = 0x8_0000; // with at least 512 KiB to spare

const TABLE_BITS = Pte.P | Pte.RW | Pte.A | Pte.D | Pte.US;
const PAGE_BITS = Pte.P | Pte.A;

/** Ports the guest's rings use; allocated by the caller before the build. */
export interface PvPorts {
  consolePort: number;
  storePort: number;
}

export function buildPv(d: Domain, image: ElfImage, notes: XenNotes, spec: DomainImage, ports: PvPorts): BuiltDomain {
  const builder = new PvBuilder(d, image, notes, spec);
  return builder.build(ports);
}

class PvBuilder {
  private readonly d: Domain;
  private readonly image: ElfImage;
  private readonly notes: XenNotes;
  private readonly spec: DomainImage;
  private readonly wide: boolean;
  /** Machine frame of each guest frame. */
  private readonly p2m: Uint32Array;
  private readonly base: bigint;
  /** Next free guest frame. */
  private next = 0;

  constructor(d: Domain, image: ElfImage, notes: XenNotes, spec: DomainImage) {
    this.d = d;
    this.image = image;
    this.notes = notes;
    this.spec = spec;
    this.wide = image.bits === 64;
    this.base = notes.virtBase;
    this.p2m = new Uint32Array(Math.floor(spec.memoryBytes / PAGE));
  }

  build(ports: PvPorts): BuiltDomain {
    const { d, p2m } = this;
    d.maxPages = p2m.length;
    for (let pfn = 0; pfn < p2m.length; pfn++) {
      const mfn = d.allocatePage();
      if (mfn < 0)
        throw buildError(
          'not-enough-memory',
          `The host has no room for a domain of ${this.spec.memoryBytes / 2 ** 20} MiB.`,
          'Its free machine memory is used up.',
          'Give the domain less memory, or destroy another one.',
          'memoryMiB',
        );
      p2m[pfn] = mfn;
      d.host.m2p.set(mfn, pfn);
    }
    this.loadKernel();
    const mod = this.spec.ramdisk;
    const modPages = mod ? Math.ceil(mod.length / PAGE) : 0;
    // A kernel that takes its RAM disk by frame number, or its list of frames at an address of its own, wants neither in
    // the area that is mapped for it: they come after that area.
    let modPfn = this.notes.modStartPfn ? -1 : this.claim(modPages, 'the RAM disk');
    const p2mBytes = p2m.length * (this.wide ? 8 : 4);
    const p2mPages = Math.ceil(p2mBytes / PAGE);
    const p2mInside = this.notes.initP2m === null;
    let p2mPfn = p2mInside ? this.claim(p2mPages, 'the list of frames') : -1;
    const startInfo = this.claim(1, 'start_info');
    const store = this.claim(1, 'the xenstore page');
    const console = this.claim(1, 'the console page');
    const tables = this.layOutTables(p2mInside ? null : { address: this.notes.initP2m!, pages: p2mPages });
    const stack = this.next++;
    if (tables.endPfn > p2m.length) this.tooSmall('its first page tables', tables.endPfn);
    this.next = Number((tables.mappedEnd - this.base) >> 12n);
    if (!p2mInside) p2mPfn = this.claim(p2mPages, 'the list of frames');
    if (this.notes.modStartPfn) modPfn = this.claim(modPages, 'the RAM disk');
    if (mod) this.writePfn(modPfn, 0, mod);
    this.writeTables(tables, p2mInside ? null : { address: this.notes.initP2m!, pfn: p2mPfn, pages: p2mPages });
    this.writePfn(
      p2mPfn,
      0,
      this.wide ? new Uint8Array(BigUint64Array.from(p2m, BigInt).buffer) : new Uint8Array(p2m.buffer.slice(0)),
    );

    this.installTables(tables.basePfn);
    if (this.notes.hypercallPage !== null) {
      const pfn = this.pfnOf(this.notes.hypercallPage, 'the hypercall page');
      writeHypercallPage(d, p2m[pfn]);
    }
    this.writeStartInfo({
      startInfo,
      store,
      console,
      modPfn: mod ? modPfn : -1,
      p2mPfn,
      p2mPages,
      p2mInside,
      tables,
      ports,
    });
    this.writeSharedInfo();
    this.startVcpu(startInfo, stack);
    d.memoryMap = [{ address: 0, size: p2m.length * PAGE, type: 1 }];
    return {
      domain: d,
      bits: this.image.bits,
      rings: {
        consoleMfn: p2m[console],
        storeMfn: p2m[store],
        consolePort: ports.consolePort,
        storePort: ports.storePort,
      },
    };
  }

  private tooSmall(what: string, frames: number): never {
    throw buildError(
      'not-enough-memory',
      `The domain's ${this.spec.memoryBytes / 2 ** 20} MiB are too small for ${what}.`,
      `This kernel needs at least ${Math.ceil((frames * PAGE) / 2 ** 20)} MiB.`,
      'Give the domain more memory.',
      'memoryMiB',
    );
  }

  /** Takes the next `pages` guest frames; returns the first. */
  private claim(pages: number, what: string): number {
    const first = this.next;
    this.next += pages;
    if (this.next > this.p2m.length) this.tooSmall(what, this.next);
    return first;
  }

  private virtual(pfn: number): bigint {
    return BigInt.asUintN(64, this.base + BigInt(pfn) * 4096n);
  }

  private pfnOf(address: bigint, what: string): number {
    const pfn = Number((address - this.base) >> 12n);
    if (address < this.base || pfn >= this.p2m.length)
      throw buildError(
        'kernel-corrupt',
        'This kernel image contradicts itself.',
        `Its notes place ${what} at 0x${address.toString(16)}, outside its own memory.`,
        'Use an intact image.',
        'kernel',
      );
    return pfn;
  }

  private loadKernel(): void {
    let end = 0;
    for (const s of this.image.segments) {
      const at = s.physicalAddress - this.notes.paddrOffset;
      if (at < 0n || at + BigInt(s.memorySize) > BigInt(this.p2m.length * PAGE)) {
        if (at >= 0n && at < 0x1_0000_0000n)
          this.tooSmall('its kernel', Number((at + BigInt(s.memorySize) + 4095n) >> 12n));
        throw buildError(
          'kernel-corrupt',
          'This kernel image contradicts itself.',
          `A segment lies at physical address 0x${s.physicalAddress.toString(16)}, below its own PADDR_OFFSET.`,
          'Use an intact image.',
          'kernel',
        );
      }
      this.writePfn(0, Number(at), s.data);
      end = Math.max(end, Number(at) + s.memorySize);
    }
    this.next = Math.ceil(end / PAGE);
  }

  /** Writes bytes at an offset from guest frame `pfn`. Fresh frames are zero already. */
  private writePfn(pfn: number, offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = offset + done;
      const chunk = Math.min(bytes.length - done, PAGE - (at % PAGE));
      this.d.mem.copyIn(this.p2m[pfn + Math.floor(at / PAGE)] * PAGE + (at % PAGE), bytes.subarray(done, done + chunk));
      done += chunk;
    }
  }

  /** How many table frames the mapped area needs, counting the tables themselves, the stack and the slack. */
  private layOutTables(extra: { address: bigint; pages: number } | null): TableLayout {
    const basePfn = this.next;
    for (let count = 1; ; count++) {
      const end = this.base + BigInt(basePfn + count + 1) * 4096n + BigInt(SLACK);
      const mappedEnd = ((end + BigInt(ALIGN) - 1n) / BigInt(ALIGN)) * BigInt(ALIGN);
      const ranges: [bigint, bigint][] = [[this.base, mappedEnd]];
      if (extra) ranges.push([extra.address, extra.address + BigInt(extra.pages * PAGE)]);
      const needed = this.tableCount(ranges);
      if (needed > count) continue;
      this.next = basePfn + count;
      return { basePfn, count, mappedEnd, endPfn: basePfn + count + 1 };
    }
  }

  private tableCount(ranges: [bigint, bigint][]): number {
    let count = 1;
    const shifts = this.wide ? [39n, 30n, 21n] : [30n, 21n];
    for (const shift of shifts) {
      const seen = new Set<bigint>();
      for (const [start, end] of ranges) for (let i = start >> shift; i <= (end - 1n) >> shift; i++) seen.add(i);
      // A 32-bit guest's fourth L2 carries the hypervisor's slots and is always there.
      if (!this.wide && shift === 30n) seen.add(3n);
      count += seen.size;
    }
    return count;
  }

  private writeTables(t: TableLayout, extra: { address: bigint; pfn: number; pages: number } | null): void {
    let free = t.basePfn + 1;
    const isTable = (pfn: number) => pfn >= t.basePfn && pfn < t.basePfn + t.count;
    const entryAt = (pfn: number, index: number) => this.p2m[pfn] * PAGE + index * 8;
    const children = new Map<number, number>();
    /** The table below `pfn` at `index`, made if absent. */
    const child = (pfn: number, index: number, bits: number): number => {
      const key = pfn * 512 + index;
      const have = children.get(key);
      if (have !== undefined) return have;
      const made = free++;
      children.set(key, made);
      this.d.mem.write32(entryAt(pfn, index), ((this.p2m[made] << 12) | bits) >>> 0);
      return made;
    };
    const map = (address: bigint, pfn: number) => {
      const at = (shift: bigint) => Number((address >> shift) & 511n);
      let table = t.basePfn;
      if (this.wide) {
        table = child(table, at(39n), TABLE_BITS);
        table = child(table, at(30n), TABLE_BITS);
      } else table = child(table, Number((address >> 30n) & 3n), Pte.P);
      table = child(table, at(21n), TABLE_BITS);
      // Page tables are mapped read-only: a writable mapping would contradict their type.
      const bits = PAGE_BITS | (isTable(pfn) ? 0 : Pte.RW | Pte.D);
      this.d.mem.write32(entryAt(table, at(12n)), ((this.p2m[pfn] << 12) | bits) >>> 0);
    };
    const pages = Math.min(this.p2m.length, Number((t.mappedEnd - this.base) >> 12n));
    for (let pfn = 0; pfn < pages; pfn++) map(this.base + BigInt(pfn) * 4096n, pfn);
    if (extra) for (let i = 0; i < extra.pages; i++) map(extra.address + BigInt(i) * 4096n, extra.pfn + i);
    if (!this.wide) child(t.basePfn, 3, Pte.P);
  }

  private installTables(basePfn: number): void {
    const { host } = this.d;
    const mfn = this.p2m[basePfn];
    const type = this.wide ? FrameType.L4 : FrameType.L3;
    const pv = this.d.vcpus[0].pv!;
    // One reference for the pin, one for the vCPU.
    for (let i = 0; i < 2; i++) {
      const error = host.types.getPageAndType(mfn, this.d.domid, type);
      if (error)
        throw buildError(
          'internal',
          'The domain builder made page tables that the hypervisor refuses.',
          `Validation ended with error ${-error}.`,
          'Please report this.',
        );
    }
    host.frames.flags[mfn] |= FrameFlag.Pinned;
    pv.guestTable = mfn;
    pv.loadCr3();
  }

  private writeStartInfo(at: StartInfo): void {
    const w = this.wide;
    const bytes = new Uint8Array(w ? 1168 : 1112);
    const view = new DataView(bytes.buffer);
    const long = (offset: number, value: bigint | number) =>
      w
        ? view.setBigUint64(offset, BigInt(value), true)
        : view.setUint32(offset, Number(BigInt.asUintN(32, BigInt(value))), true);
    const o = w
      ? {
          pages: 32,
          shared: 40,
          flags: 48,
          store: 56,
          storePort: 64,
          console: 72,
          consolePort: 80,
          pt: 88,
          ptFrames: 96,
          list: 104,
          mod: 112,
          modLen: 120,
          cmd: 128,
          p2mPfn: 1152,
          p2mFrames: 1160,
        }
      : {
          pages: 32,
          shared: 36,
          flags: 40,
          store: 44,
          storePort: 48,
          console: 52,
          consolePort: 56,
          pt: 60,
          ptFrames: 64,
          list: 68,
          mod: 72,
          modLen: 76,
          cmd: 80,
          p2mPfn: 1104,
          p2mFrames: 1108,
        };
    bytes.set(new TextEncoder().encode(w ? 'xen-3.0-x86_64' : 'xen-3.0-x86_32p'));
    long(o.pages, this.p2m.length);
    long(o.shared, this.d.sharedInfoMfn * PAGE);
    let flags = 0;
    long(o.store, this.p2m[at.store]);
    view.setUint32(o.storePort, at.ports.storePort, true);
    long(o.console, this.p2m[at.console]);
    view.setUint32(o.consolePort, at.ports.consolePort, true);
    long(o.pt, this.virtual(at.tables.basePfn));
    long(o.ptFrames, at.tables.count);
    long(o.list, at.p2mInside ? this.virtual(at.p2mPfn) : this.notes.initP2m!);
    if (at.modPfn >= 0) {
      long(o.mod, this.notes.modStartPfn ? at.modPfn : this.virtual(at.modPfn));
      long(o.modLen, this.spec.ramdisk!.length);
      if (this.notes.modStartPfn) flags |= 1 << 3;
    }
    if (!at.p2mInside) {
      long(o.p2mPfn, at.p2mPfn);
      long(o.p2mFrames, at.p2mPages);
    }
    view.setUint32(o.flags, flags, true);
    const cmdline = new TextEncoder().encode(this.spec.cmdline);
    if (cmdline.length >= 1024)
      throw buildError(
        'invalid-argument',
        `The kernel command line has ${cmdline.length} bytes.`,
        'A PV domain takes at most 1023.',
        'Shorten it.',
        'cmdline',
      );
    bytes.set(cmdline, o.cmd);
    this.writePfn(at.startInfo, 0, bytes);
  }

  private writeSharedInfo(): void {
    const { mem } = this.d;
    for (let i = 0; i < LEGACY_MAX_VCPUS; i++) mem.u8[this.d.sharedInfo + i * 64 + 1] = 1;
    updateWallClock(this.d);
    for (const v of this.d.vcpus) updateTimeInfo(v);
  }

  private startVcpu(startInfo: number, stack: number): void {
    const v = this.d.vcpus[0];
    const { cpu } = v;
    const address = (value: bigint) => (this.wide ? value : value & 0xffff_ffffn);
    cpu.rip = address(this.notes.entry);
    cpu.setReg(Reg.RSP, address(this.virtual(stack + 1)));
    cpu.setReg(Reg.RSI, address(this.virtual(startInfo)));
    cpu.setU32(F.halted, 0);
    v.initialised = true;
  }
}

interface TableLayout {
  basePfn: number;
  count: number;
  mappedEnd: bigint;
  endPfn: number;
}

interface StartInfo {
  startInfo: number;
  store: number;
  console: number;
  modPfn: number;
  p2mPfn: number;
  p2mPages: number;
  p2mInside: boolean;
  tables: TableLayout;
  ports: PvPorts;
}
