import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { BootMemory, BootParameters } from '../../../../main/machine/boot/boot-state.ts';
import { placeHigh } from '../../../../main/machine/boot/boot-state.ts';
import { parseBzImage } from '../../../../main/machine/boot/bzimage.ts';
import { identifyKernel, loadKernel } from '../../../../main/machine/boot/load.ts';
import { loadLinux } from '../../../../main/machine/boot/linux.ts';
import { makeBzImage, makeElf, makeNote } from './images.ts';

const MiB = 1024 * 1024;

class TestMemory implements BootMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size).fill(0xcc);
    this.view = new DataView(this.bytes.buffer);
  }

  get size(): number {
    return this.bytes.length;
  }

  write(address: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, address);
  }

  clear(address: number, length: number): void {
    this.bytes.fill(0, address, address + length);
  }

  u32(address: number): number {
    return this.view.getUint32(address, true);
  }

  text(address: number): string {
    return new TextDecoder().decode(this.bytes.subarray(address, this.bytes.indexOf(0, address)));
  }
}

const parameters = (overrides: Partial<BootParameters> = {}): BootParameters => ({
  commandLine: 'console=ttyS0 quiet',
  ramdisk: Uint8Array.from({ length: 5000 }, (_, index) => index),
  memoryMap: [
    { start: 0, length: 0x9_fc00, type: 1 },
    { start: 0xe_0000, length: 0x2_0000, type: 2 },
    { start: MiB, length: 15 * MiB, type: 1 },
  ],
  rsdp: 0xe_0000,
  ...overrides,
});
const code = Uint8Array.from({ length: 700 }, (_, index) => index * 3);

describe('Linux boot protocol', () => {
  const image = makeBzImage(code, new Uint8Array(16), 16);

  it('puts kernel, parameters, command line and RAM disk where the kernel looks for them', () => {
    const memory = new TestMemory(16 * MiB);
    const state = loadKernel(memory, image, parameters());
    expect(state).toMatchObject({ mode: 'protected32', entry: MiB, description: 'Linux 6.1.0-test' });
    expect(memory.bytes.subarray(MiB, MiB + 700)).toEqual(code);
    const page = state.registers.rsi!;
    expect(memory.text(memory.u32(page + 0x228))).toBe('console=ttyS0 quiet');
    expect(memory.bytes[page + 0x210]).toBe(0xff);
    expect(memory.u32(page + 0x202)).toBe(0x5372_6448);
    expect(memory.bytes[page + 0x1e8]).toBe(3);
    expect(memory.u32(page + 0x2d0 + 40)).toBe(MiB);
    expect(memory.u32(page + 0x70)).toBe(0xe_0000);
    const ramdisk = memory.u32(page + 0x218);
    expect(ramdisk % 4096).toBe(0);
    expect(ramdisk).toBeGreaterThanOrEqual(3 * MiB); // behind the room the kernel unpacks into
    expect(memory.bytes.subarray(ramdisk, ramdisk + 5000)).toEqual(parameters().ramdisk);
    expect(memory.u32(page + 0x21c)).toBe(5000);
    expect(memory.bytes[page + 0x1ef]).toBe(0); // the sentinel: this page was cleared
    expect(memory.view.getBigUint64(state.gdt!.address + 0x10, true)).toBe(0x00cf_9b00_0000_ffffn);
  });

  it('enters in 64 bits with the first 4 GiB mapped onto themselves', () => {
    const memory = new TestMemory(16 * MiB);
    const wide = image.slice();
    wide[0x236] = 1;
    const state = loadLinux(memory, parseBzImage(wide), parameters(), 64);
    expect(state).toMatchObject({ mode: 'long64', entry: MiB + 0x200 });
    const walk = (address: number): number => {
      const pml4 = memory.u32(state.pageTable!) & ~0xfff;
      const pdpt = memory.u32(pml4 + 8 * Math.floor(address / 2 ** 30)) & ~0xfff;
      const entry = memory.u32(pdpt + 8 * (Math.floor(address / 2 ** 21) % 512));
      expect(entry & 0xfff).toBe(0x83);
      return (entry & ~0xfff) >>> 0;
    };
    for (const address of [0, 2 * MiB, 1024 * MiB, 0xffe0_0000]) expect(walk(address)).toBe(address);
  });

  it('says what does not fit', () => {
    expect(() => loadKernel(new TestMemory(2 * MiB), image, parameters())).toThrow(
      /needs memory up to 3 MiB and the machine has 2 MiB/,
    );
    const large = parameters({ ramdisk: new Uint8Array(14 * MiB) });
    expect(() => loadKernel(new TestMemory(16 * MiB), image, large)).toThrow(/RAM disk \(14336 KiB\) does not fit/);
    const long = parameters({ commandLine: 'x'.repeat(256) });
    expect(() => loadKernel(new TestMemory(16 * MiB), image, long)).toThrow(
      /256 bytes and this kernel takes at most 255/,
    );
  });
});

describe('Multiboot', () => {
  function withHeader(flags: number, addresses: number[], body: Uint8Array): Uint8Array {
    const view = new DataView(new ArrayBuffer(12 + addresses.length * 4));
    [0x1bad_b002, flags, -(0x1bad_b002 + flags) >>> 0, ...addresses].forEach((value, index) =>
      view.setUint32(index * 4, value, true),
    );
    return new Uint8Array([...new Uint8Array(view.buffer), ...body]);
  }

  it('loads by the header’s addresses and clears the rest', () => {
    const memory = new TestMemory(8 * MiB);
    const file = withHeader(0x1_0003, [0x20_0000, 0x20_0000, 0, 0x20_1000, 0x20_0020], Uint8Array.of(9, 8, 7));
    const state = loadKernel(memory, gzipSync(file), parameters());
    expect(state).toMatchObject({ mode: 'protected32', entry: 0x20_0020, registers: { rax: 0x2bad_b002 } });
    expect([...memory.bytes.subarray(0x20_0020, 0x20_0025)]).toEqual([9, 8, 7, 0, 0]);
    expect(memory.bytes[0x20_0fff]).toBe(0);
    const info = state.registers.rbx!;
    expect(memory.u32(info) & 0x4d).toBe(0x4d);
    expect(memory.text(memory.u32(info + 16))).toBe('console=ttyS0 quiet');
    const module = memory.u32(info + 24);
    expect(memory.u32(module + 4) - memory.u32(module)).toBe(5000);
    expect(memory.u32(info + 44)).toBe(3 * 24);
    expect(memory.u32(memory.u32(info + 48))).toBe(20);
  });

  it('refuses video modes and files without addresses', () => {
    expect(() => loadKernel(new TestMemory(MiB * 4), withHeader(4, [], new Uint8Array(64)), parameters())).toThrow(
      /video mode/,
    );
    expect(() => loadKernel(new TestMemory(MiB * 4), withHeader(0, [], new Uint8Array(64)), parameters())).toThrow(
      /where it belongs/,
    );
  });
});

describe('PVH', () => {
  const notes = makeNote('Xen', 18, Uint8Array.from([0x40, 0, 0x20, 0]));
  const elf = makeElf({
    bits: 64,
    entry: 0xffff_ffff_8020_0000n,
    virtualAddress: 0xffff_ffff_8020_0000n,
    physicalAddress: 0x20_0000n,
    data: code,
    memorySize: 5000,
    notes,
  });

  it('enters at the note’s address with hvm_start_info', () => {
    const memory = new TestMemory(8 * MiB);
    expect(identifyKernel(elf)).toBe('pvh');
    const state = loadKernel(memory, elf, parameters());
    expect(state).toMatchObject({ mode: 'protected32', entry: 0x20_0040 });
    const info = state.registers.rbx!;
    expect(memory.u32(info)).toBe(0x336e_c578);
    expect(memory.u32(info + 12)).toBe(1);
    const module = memory.u32(info + 16);
    expect(memory.u32(module + 8)).toBe(5000);
    expect(memory.text(memory.u32(info + 24))).toBe('console=ttyS0 quiet');
    expect(memory.u32(info + 32)).toBe(0xe_0000);
    const map = memory.u32(info + 40);
    expect([memory.u32(map + 48), memory.u32(map + 56), memory.u32(map + 64)]).toEqual([MiB, 15 * MiB, 1]);
    expect(memory.bytes[0x20_0000 + 700]).toBe(0);
  });
});

describe('other files', () => {
  it('are named, with what would be needed', () => {
    const memory = new TestMemory(4 * MiB);
    const plain = { bits: 64 as const, entry: 0n, virtualAddress: 0n, physicalAddress: 0x10_0000n, data: code };
    expect(() => loadKernel(memory, makeElf(plain), parameters())).toThrow(
      /64-bit ELF file without a Multiboot header/,
    );
    const xen = makeElf({ ...plain, notes: makeNote('Xen', 5, new TextEncoder().encode('xen-3.0\0')) });
    expect(() => loadKernel(memory, xen, parameters())).toThrow(/needs the hypervisor/);
    expect(() => loadKernel(memory, new TextEncoder().encode('#!/bin/sh\n'), parameters())).toThrow(
      /not a kernel we know/,
    );
    const arm = makeElf({ ...plain, machine: 183, notes: makeNote('Xen', 18, new Uint8Array(4)) });
    expect(() => loadKernel(memory, arm, parameters())).toThrow(/another processor/);
  });

  it('start as a boot sector in real mode', () => {
    const sector = new Uint8Array(512);
    sector.set([0x55, 0xaa], 510);
    expect(loadKernel(new TestMemory(MiB), sector, parameters())).toMatchObject({ mode: 'real16', entry: 0x7c00 });
  });
});

describe('placeHigh', () => {
  it('takes the highest page-aligned place in RAM', () => {
    const map = [
      { start: 0, length: 0x10_0000, type: 1 as const },
      { start: 0x20_0000, length: 0x1800, type: 1 as const },
      { start: 0x30_0000, length: 0x10_0000, type: 2 as const },
    ];
    expect(placeHigh(map, 0x1000, 0, Infinity, 'x')).toBe(0x20_0000);
    expect(placeHigh(map, 0x2000, 0, Infinity, 'x')).toBe(0xf_e000);
    expect(() => placeHigh(map, 0x2000, 0x10_0000, Infinity, 'module')).toThrow(/module/);
  });
});
