// Starts ELF kernels through the PVH entry point that their Xen note names (Xen public headers elfnote.h and
// arch-x86/hvm/start_info.h, docs/misc/pvh.pandoc): 32-bit, flat, paging off, EBX = hvm_start_info.
import {
  type BootMemory,
  type BootParameters,
  type BootState,
  LowMemory,
  placeHigh,
  writeCommandLine,
  writeFlatGdt,
} from './boot-state.ts';
import { type ElfImage, findNote, noteInteger } from './elf.ts';
import { loadElfSegments } from './elf-load.ts';
import { KernelImageError } from './errors.ts';

/** XEN_ELFNOTE_PHYS32_ENTRY */
export const NOTE_PHYS32_ENTRY = 18;
const START_INFO_MAGIC = 0x336e_c578;
const START_INFO_BYTES = 56;
const MODULE_BYTES = 32;
const MEMORY_MAP_ENTRY_BYTES = 24;

/** The physical address of the PVH entry point, or null when the image has none. */
export function pvhEntry(image: ElfImage): number | null {
  const note = findNote(image, 'Xen', NOTE_PHYS32_ENTRY);
  return note === null ? null : Number(noteInteger(note));
}

/** Writes hvm_start_info (version 1) with everything it points to at `LowMemory.Info`; returns its address. */
export function writeStartInfo(memory: BootMemory, parameters: BootParameters, kernelEnd: number): number {
  const base = LowMemory.Info;
  const { ramdisk, memoryMap } = parameters;
  const modulesAt = base + START_INFO_BYTES;
  const mapAt = modulesAt + (ramdisk === null ? 0 : MODULE_BYTES);
  const view = new DataView(new ArrayBuffer(mapAt - base + memoryMap.length * MEMORY_MAP_ENTRY_BYTES));
  view.setUint32(0, START_INFO_MAGIC, true);
  view.setUint32(4, 1, true); // version
  view.setUint32(12, ramdisk === null ? 0 : 1, true);
  view.setBigUint64(16, BigInt(ramdisk === null ? 0 : modulesAt), true);
  view.setBigUint64(24, BigInt(writeCommandLine(memory, parameters.commandLine, Infinity)), true);
  view.setBigUint64(32, BigInt(parameters.rsdp), true);
  view.setBigUint64(40, BigInt(mapAt), true);
  view.setUint32(48, memoryMap.length, true);
  if (ramdisk !== null) {
    const address = placeHigh(memoryMap, ramdisk.length, kernelEnd, memory.size, 'RAM disk');
    memory.write(address, ramdisk);
    view.setBigUint64(START_INFO_BYTES, BigInt(address), true);
    view.setBigUint64(START_INFO_BYTES + 8, BigInt(ramdisk.length), true);
  }
  memoryMap.forEach((range, index) => {
    const at = mapAt - base + index * MEMORY_MAP_ENTRY_BYTES;
    view.setBigUint64(at, BigInt(range.start), true);
    view.setBigUint64(at + 8, BigInt(range.length), true);
    view.setUint32(at + 16, range.type, true);
  });
  memory.write(base, new Uint8Array(view.buffer));
  return base;
}

/** @throws KernelImageError when the image has no PVH entry point or does not fit. */
export function loadPvh(memory: BootMemory, image: ElfImage, parameters: BootParameters): BootState {
  const entry = pvhEntry(image);
  if (entry === null)
    throw new KernelImageError('unsupported', 'This ELF kernel has no Xen note with a PVH entry point (PHYS32_ENTRY).');
  const { end } = loadElfSegments(memory, image);
  return {
    mode: 'protected32',
    entry,
    registers: { rbx: writeStartInfo(memory, parameters, end) },
    gdt: writeFlatGdt(memory, false),
    description: `${image.bits}-bit ELF kernel (PVH entry)`,
  };
}
