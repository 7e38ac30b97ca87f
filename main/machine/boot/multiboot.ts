// Starts kernels that carry a Multiboot header (Multiboot Specification 0.6.96), as ELF or with their own addresses.
import {
  type BootMemory,
  type BootParameters,
  type BootState,
  LowMemory,
  placeHigh,
  requireRoom,
  writeCommandLine,
  writeFlatGdt,
} from './boot-state.ts';
import { isElf, parseElf } from './elf.ts';
import { loadElfSegments, physicalOf } from './elf-load.ts';
import { KernelImageError } from './errors.ts';

const HEADER_MAGIC = 0x1bad_b002;
const LOADER_MAGIC = 0x2bad_b002;
/** The header lies, 4-byte aligned, in this many bytes at the start of the file. */
const SEARCH_BYTES = 8192;
const HeaderFlag = { PageAlignModules: 1, MemoryInfo: 2, VideoMode: 4, Addresses: 0x1_0000 } as const;
/** Flags whose meaning a loader must know (bits 0-15). */
const REQUIRED_MASK = 0xffff;
const InfoFlag = { Memory: 1, CommandLine: 4, Modules: 8, MemoryMap: 0x40, LoaderName: 0x200 } as const;
const INFO_BYTES = 116;
const LOADER_NAME = 'Bulkhead';

interface MultibootHeader {
  readonly offset: number;
  readonly flags: number;
  readonly headerAddress: number;
  readonly loadAddress: number;
  readonly loadEnd: number;
  readonly bssEnd: number;
  readonly entry: number;
}

/** The file's Multiboot header, or null. */
export function findMultibootHeader(bytes: Uint8Array): MultibootHeader | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(bytes.length - 12, SEARCH_BYTES - 12);
  for (let offset = 0; offset <= end; offset += 4) {
    if (view.getUint32(offset, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(offset + 4, true);
    if ((HEADER_MAGIC + flags + view.getUint32(offset + 8, true)) >>> 0 !== 0) continue;
    const hasAddresses = (flags & HeaderFlag.Addresses) !== 0 && offset + 32 <= bytes.length;
    const field = (index: number): number => (hasAddresses ? view.getUint32(offset + 12 + index * 4, true) : 0);
    return {
      offset,
      flags,
      headerAddress: field(0),
      loadAddress: field(1),
      loadEnd: field(2),
      bssEnd: field(3),
      entry: field(4),
    };
  }
  return null;
}

/** @throws KernelImageError when the kernel asks for what this loader does not have, or does not fit. */
export function loadMultiboot(memory: BootMemory, bytes: Uint8Array, parameters: BootParameters): BootState {
  const header = findMultibootHeader(bytes);
  if (header === null) throw new KernelImageError('unknown-format', 'This file has no Multiboot header.');
  const known = HeaderFlag.PageAlignModules | HeaderFlag.MemoryInfo;
  if (header.flags & REQUIRED_MASK & ~known) {
    throw new KernelImageError(
      'unsupported',
      header.flags & HeaderFlag.VideoMode
        ? 'This Multiboot kernel asks for a video mode, and the machine has a text screen only.'
        : `This Multiboot kernel requires features (flags ${(header.flags & REQUIRED_MASK).toString(16)}) that the loader does not have.`,
    );
  }
  const loaded =
    header.flags & HeaderFlag.Addresses ? loadByAddresses(memory, bytes, header) : loadAsElf(memory, bytes);
  const info = new DataView(new ArrayBuffer(INFO_BYTES));
  const put = (offset: number, value: number): void => info.setUint32(offset, value, true);
  let flags: number = InfoFlag.Memory | InfoFlag.CommandLine | InfoFlag.MemoryMap | InfoFlag.LoaderName;
  put(4, 640);
  put(8, Math.max(0, Math.floor(memory.size / 1024) - 1024));
  put(16, writeCommandLine(memory, parameters.commandLine, Infinity));
  let at = LowMemory.Info + INFO_BYTES;
  if (parameters.ramdisk !== null) {
    const start = placeHigh(parameters.memoryMap, parameters.ramdisk.length, loaded.end, memory.size, 'module');
    memory.write(start, parameters.ramdisk);
    memory.write(at, words([start, start + parameters.ramdisk.length, 0, 0]));
    put(20, 1);
    put(24, at);
    at += 16;
    flags |= InfoFlag.Modules;
  }
  const map = new DataView(new ArrayBuffer(parameters.memoryMap.length * 24));
  parameters.memoryMap.forEach((range, index) => {
    map.setUint32(index * 24, 20, true); // size of the entry without this field
    map.setBigUint64(index * 24 + 4, BigInt(range.start), true);
    map.setBigUint64(index * 24 + 12, BigInt(range.length), true);
    map.setUint32(index * 24 + 20, range.type, true);
  });
  memory.write(at, new Uint8Array(map.buffer));
  put(44, map.byteLength);
  put(48, at);
  at += map.byteLength;
  memory.write(at, new TextEncoder().encode(`${LOADER_NAME}\0`));
  put(64, at);
  put(0, flags);
  memory.write(LowMemory.Info, new Uint8Array(info.buffer));
  return {
    mode: 'protected32',
    entry: loaded.entry,
    registers: { rax: LOADER_MAGIC, rbx: LowMemory.Info },
    gdt: writeFlatGdt(memory, false),
    description: 'Multiboot kernel',
  };
}

function loadByAddresses(
  memory: BootMemory,
  bytes: Uint8Array,
  header: MultibootHeader,
): { entry: number; end: number } {
  const start = header.offset - (header.headerAddress - header.loadAddress);
  const length = header.loadEnd === 0 ? bytes.length - start : header.loadEnd - header.loadAddress;
  if (start < 0 || length <= 0 || start + length > bytes.length)
    throw new KernelImageError('damaged', 'The addresses in this Multiboot header do not agree with the file.');
  const end = Math.max(header.loadAddress + length, header.bssEnd);
  requireRoom(memory, header.loadAddress, end - header.loadAddress);
  memory.write(header.loadAddress, bytes.subarray(start, start + length));
  memory.clear(header.loadAddress + length, end - header.loadAddress - length);
  return { entry: header.entry, end };
}

function loadAsElf(memory: BootMemory, bytes: Uint8Array): { entry: number; end: number } {
  if (!isElf(bytes)) {
    throw new KernelImageError(
      'unsupported',
      'This Multiboot kernel is not an ELF file and its header gives no load addresses, so there is no telling where it belongs.',
    );
  }
  const image = parseElf(bytes);
  const { end } = loadElfSegments(memory, image);
  return { entry: physicalOf(image, image.entry) ?? Number(image.entry & 0xffff_ffffn), end };
}

function words(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => view.setUint32(index * 4, value, true));
  return new Uint8Array(view.buffer);
}
