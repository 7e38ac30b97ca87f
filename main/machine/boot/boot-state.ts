// What a loader leaves behind: memory it has filled and the processor state a kernel is entered with.
import { KernelImageError } from './errors.ts';

/** Memory of the machine or domain a kernel is loaded into, addressed from 0. */
export interface BootMemory {
  readonly size: number;
  write(address: number, bytes: Uint8Array): void;
  /** Zeroes a range. */
  clear(address: number, length: number): void;
}

/** A range of the memory map. Types are those of ACPI's address map: 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 NVS. */
export interface MemoryRange {
  readonly start: number;
  readonly length: number;
  readonly type: 1 | 2 | 3 | 4;
}

/** What a kernel is started with. */
export interface BootParameters {
  readonly commandLine: string;
  /** Initial RAM disk, or null. */
  readonly ramdisk: Uint8Array | null;
  readonly memoryMap: readonly MemoryRange[];
  /** Address of the ACPI root pointer (RSDP), 0 when there is none. */
  readonly rsdp: number;
}

/** Registers by name; those not named are 0. */
export type BootRegisters = Partial<Record<'rax' | 'rbx' | 'rcx' | 'rdx' | 'rsi' | 'rdi' | 'rsp' | 'rbp', number>>;

/**
 * How the bootstrap processor is entered. Interrupts are off.
 * - real16: paging and protection off, all segments `segment`, instruction pointer `entry` within it
 * - protected32: flat 4 GiB segments, paging off
 * - long64: flat, paging on with the tables at `pageTable`
 */
export interface BootState {
  readonly mode: 'real16' | 'protected32' | 'long64';
  readonly entry: number;
  readonly registers: BootRegisters;
  /** real16 only: the value of every segment register. */
  readonly segment?: number;
  /** Address and limit of a descriptor table with flat segments; CS 0x10 and DS 0x18 (Linux boot protocol). */
  readonly gdt?: { readonly address: number; readonly limit: number };
  /** long64 only: CR3. */
  readonly pageTable?: number;
  /** For people: what is being started. */
  readonly description: string;
}

export const BOOT_CS = 0x10;
export const BOOT_DS = 0x18;
/** Where loaders put their small structures: below the EBDA, above the real-mode vectors. */
export const LowMemory = {
  Gdt: 0x8000,
  PageTables: 0x9000, // six pages
  StackTop: 0x8000,
  Info: 0x1_0000,
  CommandLine: 0x2_0000,
  CommandLineEnd: 0x3_0000,
} as const;

/** Writes flat 32-bit (and 64-bit) code and data segments at 0x10 and 0x18. */
export function writeFlatGdt(memory: BootMemory, longMode: boolean): { address: number; limit: number } {
  const table = new DataView(new ArrayBuffer(32));
  // Code: present, ring 0, executable, readable, accessed; 4 GiB. L instead of D in long mode.
  table.setBigUint64(BOOT_CS, longMode ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn, true);
  table.setBigUint64(BOOT_DS, 0x00cf_9300_0000_ffffn, true);
  memory.write(LowMemory.Gdt, new Uint8Array(table.buffer));
  return { address: LowMemory.Gdt, limit: 31 };
}

/** Writes page tables that map the first 4 GiB onto themselves with 2 MiB pages; returns the value for CR3. */
export function writeIdentityPageTables(memory: BootMemory): number {
  const base = LowMemory.PageTables;
  const pages = new DataView(new ArrayBuffer(6 * 4096));
  pages.setBigUint64(0, BigInt(base + 0x1000) | 3n, true);
  for (let gib = 0; gib < 4; gib++) {
    pages.setBigUint64(0x1000 + gib * 8, BigInt(base + 0x2000 + gib * 0x1000) | 3n, true);
    for (let entry = 0; entry < 512; entry++) {
      const address = (BigInt(gib) << 30n) | (BigInt(entry) << 21n);
      pages.setBigUint64(0x2000 + gib * 0x1000 + entry * 8, address | 0x83n, true);
    }
  }
  memory.write(base, new Uint8Array(pages.buffer));
  return base;
}

/** Writes the command line, zero terminated, and returns its address. @throws KernelImageError when it is too long. */
export function writeCommandLine(memory: BootMemory, commandLine: string, maximum: number): number {
  const bytes = new TextEncoder().encode(`${commandLine}\0`);
  const room = Math.min(maximum, LowMemory.CommandLineEnd - LowMemory.CommandLine - 1);
  if (bytes.length - 1 > room) {
    throw new KernelImageError(
      'too-large',
      `The kernel command line has ${bytes.length - 1} bytes and this kernel takes at most ${room}. Shorten it.`,
    );
  }
  memory.write(LowMemory.CommandLine, bytes);
  return LowMemory.CommandLine;
}

/**
 * The highest page-aligned address below `limit` where `length` bytes fit into RAM of the map, not below `floor`.
 * @throws KernelImageError when there is no such place.
 */
export function placeHigh(
  map: readonly MemoryRange[],
  length: number,
  floor: number,
  limit: number,
  what: string,
): number {
  let best = -1;
  for (const range of map) {
    if (range.type !== 1) continue;
    const end = Math.min(range.start + range.length, limit);
    const start = Math.floor((end - length) / 4096) * 4096;
    if (start >= Math.max(range.start, floor) && start > best) best = start;
  }
  if (best < 0) {
    throw new KernelImageError(
      'too-large',
      `The ${what} (${Math.ceil(length / 1024)} KiB) does not fit into this machine's memory beside the kernel. Give the machine more memory.`,
    );
  }
  return best;
}

/** @throws KernelImageError unless the range lies in memory. */
export function requireRoom(memory: BootMemory, start: number, length: number): void {
  if (start >= 0 && start + length <= memory.size) return;
  const mebibytes = Math.ceil((start + length) / 1048576);
  throw new KernelImageError(
    'too-large',
    `This kernel needs memory up to ${mebibytes} MiB and the machine has ${Math.floor(memory.size / 1048576)} MiB. Give it more memory.`,
  );
}
