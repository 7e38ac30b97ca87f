// Where things are in a PC's physical address space, and the memory map (e820) a kernel is given.
import type { MemoryRange } from '../boot/boot-state.ts';

export const PhysicalAddress = {
  /** BIOS data area: kernels read the EBDA segment and the size of base memory here. */
  BiosData: 0x400,
  /** Extended BIOS data area: the last KiB of base memory. */
  Ebda: 0x9_fc00,
  VgaWindow: 0xa_0000,
  /** Firmware tables: RSDP first, so that a search from here finds it. */
  Tables: 0xe_0000,
  OneMiB: 0x10_0000,
  IoApic: 0xfec0_0000,
  LocalApic: 0xfee0_0000,
} as const;

/** RAM, holes and reserved ranges of a PC with `ramBytes` of contiguous memory, in ascending order. */
export function pcMemoryMap(ramBytes: number): MemoryRange[] {
  return [
    { start: 0, length: PhysicalAddress.Ebda, type: 1 },
    { start: PhysicalAddress.Ebda, length: PhysicalAddress.VgaWindow - PhysicalAddress.Ebda, type: 2 },
    { start: PhysicalAddress.Tables, length: PhysicalAddress.OneMiB - PhysicalAddress.Tables, type: 2 },
    { start: PhysicalAddress.OneMiB, length: ramBytes - PhysicalAddress.OneMiB, type: 1 },
  ];
}
