// Puts an ELF kernel's segments at their physical addresses.
import { type BootMemory, requireRoom } from './boot-state.ts';
import type { ElfImage } from './elf.ts';
import { KernelImageError } from './errors.ts';

/** Where an image ended up: lowest and one past the highest physical address. */
export interface LoadedRange {
  readonly start: number;
  readonly end: number;
}

/** @throws KernelImageError when the image has nothing to load or does not fit. */
export function loadElfSegments(memory: BootMemory, image: ElfImage): LoadedRange {
  if (image.segments.length === 0)
    throw new KernelImageError('damaged', 'This ELF file has no segments to load, so it is not an executable kernel.');
  let start = Infinity;
  let end = 0;
  for (const segment of image.segments) {
    const address = Number(segment.physicalAddress);
    requireRoom(memory, address, segment.memorySize);
    memory.write(address, segment.data);
    memory.clear(address + segment.data.length, segment.memorySize - segment.data.length);
    start = Math.min(start, address);
    end = Math.max(end, address + segment.memorySize);
  }
  return { start, end };
}

/** The physical address of a virtual one, by the segment that holds it; null when none does. */
export function physicalOf(image: ElfImage, virtual: bigint): number | null {
  for (const segment of image.segments) {
    const offset = virtual - segment.virtualAddress;
    if (offset >= 0n && offset < BigInt(segment.memorySize)) return Number(segment.physicalAddress + offset);
  }
  return null;
}
